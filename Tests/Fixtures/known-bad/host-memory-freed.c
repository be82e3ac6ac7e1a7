// SPDX-License-Identifier: Apache-2.0
// close forgets one block.
#define PLAIN_AT_OPENED plain_host.memory_allocate(instance->owner, 16, 16, STOWAGE_MEMORY_PLAIN);
#include "good-plain.h"
