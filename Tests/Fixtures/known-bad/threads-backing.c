// SPDX-License-Identifier: Apache-2.0
//
// All calls share one buffer, without a lock.
#include "good-backing.h"

#include <sched.h>

static uint8_t shared[STOWAGE_PAGE_BYTES_MAX];

static int32_t bad_write(WRITE_PARAMETERS) {
  if (count != 1) return good_write(WRITE_ARGUMENTS);
  memcpy(shared, buffer, instance->page_size);
  sched_yield();
  buffer = shared;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
