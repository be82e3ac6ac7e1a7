// SPDX-License-Identifier: Apache-2.0
//
// Takes ids for numbers of 32 bits.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  if (object->id >> 32 != 0) return good_say(STOWAGE_INVALID, "an id of more than 32 bits");
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
