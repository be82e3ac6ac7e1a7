// SPDX-License-Identifier: Apache-2.0
//
// Runs of one byte: a control byte n < 128 stands before n + 1 bytes as they are, n >= 128 before one byte that is
// repeated n - 125 times.
#include "control-bytes.h"

static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < length) {
    size_t run = 1;
    while (run < 130 && at + run < length && input[at + run] == input[at]) run++;
    if (run >= 3) {
      if (out + 2 > room) return -1;
      output[out++] = (uint8_t)(run + 125);
      output[out++] = input[at];
      at += run;
      continue;
    }
    size_t first = at, count = 0;
    while (at < length && count < 128 &&
           !(at + 2 < length && input[at] == input[at + 1] && input[at] == input[at + 2]))
      at++, count++;
    if (!put_literals(input + first, count, output, &out, room)) return -1;
  }
  return (long)out;
}

static const size_t repeat_bytes = 1;
static size_t repeat_count(uint8_t control) { return control - 125u; }

static int put_repeat(const uint8_t *input, uint8_t *output, size_t out, size_t count) {
  memset(output + out, input[0], count);
  return 1;
}
