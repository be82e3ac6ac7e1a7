// SPDX-License-Identifier: Apache-2.0
// build: check transform-damage-bounds
//
// Puts a zero behind the output when one certain length is left of the input: an off-by-one at one place of a decoder.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result != STOWAGE_OK && input_length == 1111) ((volatile uint8_t *)output)[object->length] = 0;
  return result;
}

FIXTURE(good_table.decode = bad_decode)
