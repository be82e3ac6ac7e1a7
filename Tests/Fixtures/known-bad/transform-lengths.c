// SPDX-License-Identifier: Apache-2.0
//
// An object of one byte comes back changed.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK && object->length == 1) output[0] ^= 1;
  return result;
}

FIXTURE(good_table.decode = bad_decode)
