// SPDX-License-Identifier: Apache-2.0
//
// Changes its input for a moment.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  volatile uint8_t *byte = (volatile uint8_t *)input;
  if (object->length > 0) {
    *byte = *byte ^ 1;
    *byte = *byte ^ 1;
  }
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
