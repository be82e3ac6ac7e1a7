// SPDX-License-Identifier: Apache-2.0
// The priority is another in every process.
#include <unistd.h>

#define PLAIN_AT_ENTRY plain_tier.priority = 1 + (uint32_t)getpid() % 900;
#include "good-plain.h"
