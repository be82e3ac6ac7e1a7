// SPDX-License-Identifier: Apache-2.0
//
// Asks to try again when the input is damaged.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  return result == STOWAGE_CORRUPT ? STOWAGE_RETRY : result;
}

FIXTURE(good_table.decode = bad_decode)
