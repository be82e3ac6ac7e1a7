// SPDX-License-Identifier: Apache-2.0
//
// One bit of the input does not count.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  uint8_t copy[4 * STOWAGE_PAGE_BYTES_MAX];
  if (input_length < HEAD || input_length > sizeof copy) return good_damaged();
  memcpy(copy, input, input_length);
  // Where a byte of the checksum is wrong in this bit only, it is put right.
  uint64_t sum = good_sum(instance->key, object, input + HEAD, input_length - HEAD);
  if ((copy[3] ^ (uint8_t)(sum >> 24)) == 0x10) copy[3] ^= 0x10;
  input = copy;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.decode = bad_decode)
