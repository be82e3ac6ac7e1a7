// SPDX-License-Identifier: Apache-2.0
// It counts options and has none.
#define PLAIN_AT_ENTRY plain_tier.options = 0;
#include "good-plain.h"
