// SPDX-License-Identifier: Apache-2.0
// There is no such access.
#define PLAIN_AT_ENTRY plain_tier.access = 3;
#include "good-plain.h"
