// SPDX-License-Identifier: Apache-2.0
//
// A cipher in everything but strength: a keyed stream from the object's id, a keyed sum of 16 bytes beside it.
#define FLAGS (STOWAGE_FLAG_MANDATORY | STOWAGE_FLAG_LENGTH_PRESERVING | STOWAGE_FLAG_INTEGRITY)
#define SIDECAR 16
#include "test-transform.h"

static void stream(uint64_t key, const stowage_object *object, const uint8_t *input, uint8_t *output, size_t length) {
  uint64_t state = key ^ object->id * UINT64_C(0xD1B54A32D192ED03) ^ (uint64_t)object->epoch << 32;
  for (size_t at = 0; at < length; at += 8) {
    uint64_t word = test_next(&state), bytes = 0;
    size_t part = length - at < 8 ? length - at : 8;
    memcpy(&bytes, input + at, part);
    bytes ^= word;
    memcpy(output + at, &bytes, part);
  }
}

static void sum(uint64_t key, const stowage_object *object, const uint8_t *bytes, size_t length, uint8_t result[16]) {
  uint64_t a = ~key ^ object->id, b = key + object->epoch + object->length;
  for (size_t at = 0; at < length; at += 8) {
    uint64_t word = 0;
    memcpy(&word, bytes + at, length - at < 8 ? length - at : 8);
    a = (a ^ word) * UINT64_C(0xFF51AFD7ED558CCD);
    a ^= a >> 32;
    b = (b + a) * UINT64_C(0xC4CEB9FE1A85EC53);
  }
  memcpy(result, &a, 8);
  memcpy(result + 8, &b, 8);
}

static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar) {
  if (length > room) return -1;
  stream(instance->key, object, input, output, length);
  sum(instance->key, object, output, length, sidecar);
  return (long)length;
}

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  uint8_t expected[16];
  if (input_length != length) return STOWAGE_CORRUPT;
  sum(instance->key, object, input, length, expected);
  if (memcmp(expected, sidecar, 16) != 0) return STOWAGE_AUTH;
  stream(instance->key, object, input, output, length);
  return STOWAGE_OK;
}
