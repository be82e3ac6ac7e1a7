// SPDX-License-Identifier: Apache-2.0
//
// All calls share one buffer, without a lock.
#include "good-transform.h"

#include <sched.h>

static uint8_t shared[STOWAGE_PAGE_BYTES_MAX];

static int32_t bad_encode(ENCODE_PARAMETERS) {
  memcpy(shared, input, object->length);
  sched_yield();
  input = shared;
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
