// SPDX-License-Identifier: Apache-2.0
//
// Takes lengths for numbers of 15 bits.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK && object->length > 32767) output[object->length - 1] ^= 1;
  return result;
}

FIXTURE(good_table.decode = bad_decode)
