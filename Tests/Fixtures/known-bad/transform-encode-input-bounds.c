// SPDX-License-Identifier: Apache-2.0
//
// encode looks one byte past its input.
#include "good-transform.h"

static volatile uint8_t seen;

static int32_t bad_encode(ENCODE_PARAMETERS) {
  seen = input[object->length];
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
