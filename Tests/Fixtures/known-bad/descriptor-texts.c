// SPDX-License-Identifier: Apache-2.0
// The summary moves the cursor.
#define PLAIN_AT_ENTRY plain_tier.summary = "Shortens\033[2J runs";
#include "good-plain.h"
