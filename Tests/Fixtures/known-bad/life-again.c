// SPDX-License-Identifier: Apache-2.0
// Something is used up with every instance, and not given back.
static int plain_opened;

#define PLAIN_AT_OPEN if (++plain_opened > 30) return plain_fail(STOWAGE_FULL, "no place is left");
#include "good-plain.h"
