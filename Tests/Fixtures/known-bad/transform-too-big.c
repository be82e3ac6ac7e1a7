// SPDX-License-Identifier: Apache-2.0
//
// Too little room is an error of its own.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  return result == STOWAGE_TOO_BIG && room < object->length / 2 ? STOWAGE_FULL : result;
}

FIXTURE(good_table.encode = bad_encode)
