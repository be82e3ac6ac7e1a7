// SPDX-License-Identifier: Apache-2.0
//
// decode looks one byte past its input.
#include "good-transform.h"

static volatile uint8_t seen;

static int32_t bad_decode(DECODE_PARAMETERS) {
  seen = input[input_length];
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.decode = bad_decode)
