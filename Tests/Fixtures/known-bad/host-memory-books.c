// SPDX-License-Identifier: Apache-2.0
// Memory is freed as another kind than it was allocated.
#define PLAIN_TABLE_KIND STOWAGE_MEMORY_PLAIN
#include "good-plain.h"
