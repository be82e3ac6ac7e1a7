// SPDX-License-Identifier: Apache-2.0
//
// One bit of the sidecar does not count.
#define SIDECAR
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  uint8_t copy[16];
  memcpy(copy, sidecar, sizeof copy);
  uint64_t sum;
  memcpy(&sum, copy, sizeof sum);
  if ((copy[15] ^ (uint8_t)(good_mix(sum) >> 56)) == 0x80) copy[15] ^= 0x80;
  sidecar = copy;
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_table.decode = bad_decode)
