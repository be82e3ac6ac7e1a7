// SPDX-License-Identifier: Apache-2.0
//
// Says of a page that does not get shorter that it did, with a length that is not true.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  if (result != STOWAGE_TOO_BIG || room < object->length) return result;
  *length = HEAD + object->length + 32;
  return STOWAGE_OK;
}

FIXTURE(good_table.encode = bad_encode)
