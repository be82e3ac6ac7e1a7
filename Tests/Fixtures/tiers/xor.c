// SPDX-License-Identifier: Apache-2.0
//
// Every word is XORed with one that follows from the object's id: what is decoded under another id comes out wrong.
#define FLAGS STOWAGE_FLAG_LENGTH_PRESERVING
#include "test-transform.h"

static void apply(const stowage_object *object, const uint8_t *input, uint8_t *output, size_t length) {
  uint64_t state = object->id, word = test_next(&state);
  for (size_t at = 0; at < length; at++) output[at] = input[at] ^ (uint8_t)(word >> at % 8 * 8);
}

static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar) {
  (void)instance, (void)sidecar;
  if (length > room) return -1;
  apply(object, input, output, length);
  return (long)length;
}

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  (void)instance, (void)sidecar;
  if (input_length != length) return STOWAGE_CORRUPT;
  apply(object, input, output, length);
  return STOWAGE_OK;
}
