// SPDX-License-Identifier: Apache-2.0
//
// A number goes into the output that is another each time.
#include "good-transform.h"

static _Atomic uint8_t turn;

static int32_t bad_encode(ENCODE_PARAMETERS) {
  if (room < 1) return STOWAGE_TOO_BIG;
  uint8_t number = turn++;
  stowage_object copy = *object;
  copy.epoch ^= (uint32_t)number << 8;
  object = &copy;
  room--;
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  if (result == STOWAGE_OK) output[(*length)++] = number;
  return result;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  if (input_length < 1) return good_damaged();
  stowage_object copy = *object;
  copy.epoch ^= (uint32_t)input[--input_length] << 8;
  object = &copy;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
