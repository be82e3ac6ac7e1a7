// SPDX-License-Identifier: Apache-2.0
//
// Changes the object for a moment.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  volatile uint32_t *reserved = (volatile uint32_t *)&object->reserved;
  *reserved = 1;
  *reserved = 0;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.decode = bad_decode)
