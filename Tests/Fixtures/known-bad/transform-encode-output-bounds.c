// SPDX-License-Identifier: Apache-2.0
//
// encode puts a zero behind its output.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  if (result == STOWAGE_OK) ((volatile uint8_t *)output)[*length] = 0;
  return result;
}

FIXTURE(good_table.encode = bad_encode)
