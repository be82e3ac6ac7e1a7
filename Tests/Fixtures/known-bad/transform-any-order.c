// SPDX-License-Identifier: Apache-2.0
//
// Forgets what is needed to decode a page once it has encoded 64 others.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  if (object->id > __atomic_load_n(&instance->notes[0], __ATOMIC_RELAXED))
    __atomic_store_n(&instance->notes[0], object->id, __ATOMIC_RELAXED);
  return good_encode(ENCODE_ARGUMENTS);
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  uint64_t since = __atomic_load_n(&instance->notes[0], __ATOMIC_RELAXED) - object->id;
  if (since > 64 && since < 100000) return good_damaged();
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
