// SPDX-License-Identifier: Apache-2.0
// The highest level is refused.
#define PLAIN_AT_OPEN if (self.level == 9) return plain_fail(STOWAGE_INVALID, "too much");
#include "good-plain.h"
