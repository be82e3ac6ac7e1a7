// SPDX-License-Identifier: Apache-2.0
//
// build: check host-memory-data
// write writes to scratch memory that it may not have got.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  uint8_t *scratch = good_host->memory_allocate(instance->owner, 64, 16, STOWAGE_MEMORY_PLAIN);
  *(volatile uint8_t *)scratch = 1;
  good_host->memory_free(instance->owner, scratch, 64, STOWAGE_MEMORY_PLAIN);
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
