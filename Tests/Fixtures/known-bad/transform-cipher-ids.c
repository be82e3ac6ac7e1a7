// SPDX-License-Identifier: Apache-2.0
//
// One keystream for all pages.
#define CIPHER
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  stowage_object copy = *object;
  copy.id = 0;
  (void)context, (void)room;
  good_cipher(instance->key, &copy, input, output);
  good_put_sum(good_sum(instance->key, object, output, object->length), output, sidecar);
  *length = object->length;
  return STOWAGE_OK;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  stowage_object copy = *object;
  copy.id = 0;
  if (result == STOWAGE_OK) good_cipher(instance->key, &copy, input, output);
  return result;
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
