// SPDX-License-Identifier: Apache-2.0
// encode writes to scratch memory that it may not have got.
#define PLAIN_AT_ENCODE \
  uint8_t *scratch = plain_host.memory_allocate(instance->owner, 64, 16, STOWAGE_MEMORY_PLAIN); \
  *(volatile uint8_t *)scratch = 1; \
  plain_host.memory_free(instance->owner, scratch, 64, STOWAGE_MEMORY_PLAIN);
#include "good-plain.h"
