// SPDX-License-Identifier: Apache-2.0
// A reserved field is not zero.
#define PLAIN_AT_ENTRY plain_tier.reserved0 = 1;
#include "good-plain.h"
