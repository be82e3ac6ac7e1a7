// SPDX-License-Identifier: Apache-2.0
// An option is of no known type.
#define PLAIN_AT_ENTRY plain_options[PLAIN_LEVEL].type = 7;
#include "good-plain.h"
