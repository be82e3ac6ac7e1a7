// SPDX-License-Identifier: Apache-2.0
// The magic number is missing.
#define PLAIN_AT_ENTRY plain_tier.magic = 0;
#include "good-plain.h"
