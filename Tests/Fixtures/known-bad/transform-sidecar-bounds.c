// SPDX-License-Identifier: Apache-2.0
//
// encode writes one byte more than the sidecar has.
#define SIDECAR
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  int32_t result = good_encode(ENCODE_ARGUMENTS);
  if (result == STOWAGE_OK) ((volatile uint8_t *)sidecar)[SIDECAR_LENGTH] = 0;
  return result;
}

FIXTURE(good_table.encode = bad_encode)
