// SPDX-License-Identifier: Apache-2.0
//
// Repeats of what came before, found by a small hash table: a control byte n < 128 stands before n + 1 bytes as they
// are, n >= 128 before two bytes of distance; n - 124 bytes from there are repeated.
#include "control-bytes.h"

#define HASH(p) ((((uint32_t)(p)[0] | (uint32_t)(p)[1] << 8 | (uint32_t)(p)[2] << 16 | (uint32_t)(p)[3] << 24) * 2654435761u) >> 20)

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

static const size_t repeat_bytes = 2;
static size_t repeat_count(uint8_t control) { return control - 124u; }

static int put_repeat(const uint8_t *input, uint8_t *output, size_t out, size_t count) {
  size_t distance = input[0] | (size_t)input[1] << 8;
  if (distance == 0 || distance > out) return 0;
  for (; count > 0; count--, out++) output[out] = output[out - distance];
  return 1;
}
