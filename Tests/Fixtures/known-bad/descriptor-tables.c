// SPDX-License-Identifier: Apache-2.0
// A transform without a table.
#define PLAIN_AT_ENTRY plain_tier.transform = 0;
#include "good-plain.h"
