// SPDX-License-Identifier: Apache-2.0
// It is built against another draft.
#define PLAIN_AT_ENTRY plain_tier.abi_minor = STOWAGE_ABI_MINOR + 1;
#include "good-plain.h"
