// SPDX-License-Identifier: Apache-2.0
//
// The epoch does not count.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  stowage_object copy = *object;
  copy.epoch = 0;
  object = &copy;
  return good_encode(ENCODE_ARGUMENTS);
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  stowage_object copy = *object;
  copy.epoch = 0;
  object = &copy;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
