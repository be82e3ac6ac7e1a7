// SPDX-License-Identifier: Apache-2.0
//
// 32 bytes in the middle of a page stay as they are.
#define CIPHER
#include "good-transform.h"

enum { FIRST = 1024, COUNT = 32 };

static int32_t bad_encode(ENCODE_PARAMETERS) {
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  if (result == STOWAGE_OK && object->length >= FIRST + COUNT) {
    memcpy(output + FIRST, input + FIRST, COUNT);
    good_put_sum(good_sum(instance->key, object, output, object->length), output, sidecar);
  }
  return result;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK && object->length >= FIRST + COUNT) memcpy(output + FIRST, input + FIRST, COUNT);
  return result;
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
