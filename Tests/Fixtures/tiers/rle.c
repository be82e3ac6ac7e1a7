// SPDX-License-Identifier: Apache-2.0
//
// Runs of one byte: a control byte n < 128 stands before n + 1 bytes as they are, n >= 128 before one byte that is
// repeated n - 125 times.
#include "test-transform.h"

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
    if (out + 1 + count > room) return -1;
    output[out++] = (uint8_t)(count - 1);
    memcpy(output + out, input + first, count);
    out += count;
  }
  return (long)out;
}

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < input_length) {
    uint8_t control = input[at++];
    size_t count = control < 128 ? control + 1u : control - 125u;
    if (out + count > length || at + (control < 128 ? count : 1) > input_length) return STOWAGE_CORRUPT;
    if (control < 128) {
      memcpy(output + out, input + at, count);
      at += count;
    } else {
      memset(output + out, input[at++], count);
    }
    out += count;
  }
  return out == length ? STOWAGE_OK : STOWAGE_CORRUPT;
}
