// SPDX-License-Identifier: Apache-2.0
// open changes the descriptor.
static void plain_change(void);

#define PLAIN_AT_OPENED plain_change();
#include "good-plain.h"

static void plain_change(void) { plain_tier.priority = 501; }
