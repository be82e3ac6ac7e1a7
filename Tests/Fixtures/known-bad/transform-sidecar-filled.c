// SPDX-License-Identifier: Apache-2.0
//
// The last byte of the sidecar stays as it was.
#define SIDECAR
#define NO_INTEGRITY
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  uint8_t before = sidecar[15];
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  sidecar[15] = before;
  return result;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  uint8_t whole[16];
  memcpy(whole, sidecar, sizeof whole);
  uint64_t sum;
  memcpy(&sum, whole, sizeof sum);
  sum = good_mix(sum);
  memcpy(whole + 8, &sum, sizeof sum);
  sidecar = whole;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode)
