// SPDX-License-Identifier: Apache-2.0
//
// Loses a block of malloc's when the input is damaged.
#include "good-transform.h"

static void *volatile lost;

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result != STOWAGE_OK) lost = malloc(64);
  return result;
}

FIXTURE(good_table.decode = bad_decode)
