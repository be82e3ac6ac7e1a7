// SPDX-License-Identifier: Apache-2.0
// An option is not explained.
#define PLAIN_AT_ENTRY plain_options[PLAIN_LEVEL].help = "";
#include "good-plain.h"
