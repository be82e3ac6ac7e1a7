// SPDX-License-Identifier: Apache-2.0
//
// Repeats of what came before, found by a small hash table: a control byte n < 128 stands before n + 1 bytes as they
// are, n >= 128 before two bytes of distance; n - 124 bytes from there are repeated.
#include "test-transform.h"

#define HASH(p) ((((uint32_t)(p)[0] | (uint32_t)(p)[1] << 8 | (uint32_t)(p)[2] << 16 | (uint32_t)(p)[3] << 24) * 2654435761u) >> 20)

static int put_literals(const uint8_t *input, size_t count, uint8_t *output, size_t *out, size_t room) {
  while (count > 0) {
    size_t part = count < 128 ? count : 128;
    if (*out + 1 + part > room) return 0;
    output[(*out)++] = (uint8_t)(part - 1);
    memcpy(output + *out, input, part);
    *out += part;
    input += part;
    count -= part;
  }
  return 1;
}

static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  uint16_t table[4096] = {0};  // place + 1
  size_t at = 0, out = 0, literal = 0;
  while (at + 4 <= length) {
    uint32_t hash = HASH(input + at);
    size_t from = table[hash];
    table[hash] = (uint16_t)(at + 1);
    if (from == 0 || from - 1 >= at || memcmp(input + from - 1, input + at, 4) != 0) {
      at++;
      continue;
    }
    size_t start = from - 1, count = 4;
    while (count < 131 && at + count < length && input[start + count] == input[at + count]) count++;
    if (!put_literals(input + literal, at - literal, output, &out, room) || out + 3 > room) return -1;
    output[out++] = (uint8_t)(count + 124);
    output[out++] = (uint8_t)(at - start);
    output[out++] = (uint8_t)((at - start) >> 8);
    at += count;
    literal = at;
  }
  if (!put_literals(input + literal, length - literal, output, &out, room)) return -1;
  return (long)out;
}

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < input_length) {
    uint8_t control = input[at++];
    size_t count = control < 128 ? control + 1u : control - 124u;
    if (out + count > length || at + (control < 128 ? count : 2) > input_length) return STOWAGE_CORRUPT;
    if (control < 128) {
      memcpy(output + out, input + at, count);
      at += count;
      out += count;
      continue;
    }
    size_t distance = input[at] | (size_t)input[at + 1] << 8;
    at += 2;
    if (distance == 0 || distance > out) return STOWAGE_CORRUPT;
    for (; count > 0; count--, out++) output[out] = output[out - distance];
  }
  return out == length ? STOWAGE_OK : STOWAGE_CORRUPT;
}
