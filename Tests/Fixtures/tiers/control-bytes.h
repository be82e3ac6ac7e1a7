// SPDX-License-Identifier: Apache-2.0
//
// What the test compressors share: a control byte n < 128 stands before n + 1 bytes as they are; what a larger one means
// is each one's own.
#ifndef CONTROL_BYTES_H
#define CONTROL_BYTES_H

#include "test-transform.h"

// Writes bytes as they are; 0 when there is no room.
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

// Of a control byte from 128 on: how many bytes it stands for, and how many bytes follow it.
static size_t repeat_count(uint8_t control);
static const size_t repeat_bytes;
// Writes those bytes behind the `out` that are there; 0 when `input` cannot be meant.
static int put_repeat(const uint8_t *input, uint8_t *output, size_t out, size_t count);

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < input_length) {
    uint8_t control = input[at++];
    int is_literal = control < 128;
    size_t count = is_literal ? control + 1u : repeat_count(control);
    size_t bytes = is_literal ? count : repeat_bytes;
    if (out + count > length || at + bytes > input_length) return STOWAGE_CORRUPT;
    if (is_literal) {
      memcpy(output + out, input + at, count);
    } else if (!put_repeat(input + at, output, out, count)) {
      return STOWAGE_CORRUPT;
    }
    at += bytes;
    out += count;
  }
  return out == length ? STOWAGE_OK : STOWAGE_CORRUPT;
}

#endif
