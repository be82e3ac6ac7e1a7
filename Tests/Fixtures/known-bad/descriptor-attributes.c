// SPDX-License-Identifier: Apache-2.0
// A transform that calls itself persistent.
#define PLAIN_AT_ENTRY plain_tier.lifetime = STOWAGE_LIFETIME_PERSISTENT;
#include "good-plain.h"
