// SPDX-License-Identifier: Apache-2.0
//
// A page of zeros becomes shorter.
#include "good-transform.h"

// Keeps bytes as they are, but for zeros: they become nothing, and a page of zeros again.
static int32_t bad_encode(ENCODE_PARAMETERS) {
  (void)instance, (void)context, (void)sidecar, (void)room;
  int any = 0;
  for (uint32_t i = 0; i < object->length; i++) any |= input[i];
  *length = any ? object->length : 0;
  memcpy(output, input, *length);
  return STOWAGE_OK;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  (void)instance, (void)context, (void)sidecar;
  if (input_length != 0 && input_length != object->length) return good_damaged();
  memset(output, 0, object->length);
  memcpy(output, input, input_length);
  return STOWAGE_OK;
}

FIXTURE(good_table.encode = bad_encode, good_table.decode = bad_decode,
        good_tier.flags_optional = STOWAGE_FLAG_LENGTH_PRESERVING | STOWAGE_FLAG_DETERMINISTIC)
