// SPDX-License-Identifier: Apache-2.0
// There is no close.
#define PLAIN_AT_ENTRY plain_tier.close = 0;
#include "good-plain.h"
