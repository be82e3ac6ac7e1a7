// SPDX-License-Identifier: Apache-2.0
// The default is out of bounds.
#define PLAIN_AT_ENTRY plain_options[PLAIN_LEVEL].number_default = 10;
#include "good-plain.h"
