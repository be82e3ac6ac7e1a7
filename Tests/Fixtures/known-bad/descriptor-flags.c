// SPDX-License-Identifier: Apache-2.0
// It requires a flag that nobody knows.
#define PLAIN_AT_ENTRY plain_tier.flags_required = UINT64_C(1) << 60;
#include "good-plain.h"
