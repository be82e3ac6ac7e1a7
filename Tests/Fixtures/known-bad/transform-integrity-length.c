// SPDX-License-Identifier: Apache-2.0
//
// What stands behind the encoding is not looked at.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  // Goes through the runs as far as the object needs them.
  size_t at = HEAD, out = 0;
  while (at < input_length && out < object->length) {
    uint8_t control = input[at++] ^ MASK;
    out += control < 128 ? control + 1u : control - 125u;
    at += control < 128 ? control + 1u : 1;
  }
  if (at < input_length) input_length = at;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.decode = bad_decode)
