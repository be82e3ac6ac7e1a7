// SPDX-License-Identifier: Apache-2.0
//
// A decode after one that failed fails too.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  uint64_t before = context->notes[0];
  int32_t result = good_decode(DECODE_ARGUMENTS);
  context->notes[0] = result != STOWAGE_OK;
  return before ? good_damaged() : result;
}

FIXTURE(good_table.decode = bad_decode)
