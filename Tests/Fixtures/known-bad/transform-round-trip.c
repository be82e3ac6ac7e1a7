// SPDX-License-Identifier: Apache-2.0
//
// The last byte of a full page comes back changed.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK && object->length == instance->page_size) output[object->length - 1] ^= 1;
  return result;
}

FIXTURE(good_table.decode = bad_decode)
