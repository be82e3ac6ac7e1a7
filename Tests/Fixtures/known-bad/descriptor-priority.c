// SPDX-License-Identifier: Apache-2.0
// The priority is too high.
#define PLAIN_AT_ENTRY plain_tier.priority = STOWAGE_PRIORITY_MAX + 1;
#include "good-plain.h"
