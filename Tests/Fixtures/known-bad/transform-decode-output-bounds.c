// SPDX-License-Identifier: Apache-2.0
//
// decode puts a zero behind its output.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK) ((volatile uint8_t *)output)[object->length] = 0;
  return result;
}

FIXTURE(good_table.decode = bad_decode)
