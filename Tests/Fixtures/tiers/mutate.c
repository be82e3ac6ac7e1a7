// SPDX-License-Identifier: Apache-2.0
//
// Encodes nothing, and lies when it decodes what the host has encoded for itself: so whatever reads an index gets one
// that was changed behind its checksums.
#define FLAGS (STOWAGE_FLAG_MANDATORY | STOWAGE_FLAG_LENGTH_PRESERVING)
#include "test-transform.h"

static struct {
  uint64_t random, seen, first, count;
} plan;
static uint8_t former[65536];

// From now on, of the metadata that is decoded, pages `first` to `first + count` are changed, as follows from the seed.
STOWAGE_EXPORT void mutate_plan(uint64_t seed, uint64_t first, uint64_t count) {
  plan.random = seed, plan.seen = 0, plan.first = first, plan.count = count;
}

// Pages of metadata that were decoded since.
STOWAGE_EXPORT uint64_t mutate_seen(void) { return plan.seen; }

static uint64_t below(uint64_t bound) { return test_next(&plan.random) % bound; }

static uint64_t interesting(uint64_t old) {
  static const uint64_t values[] = {0, 1, 127, 128, 255, 4095, 4096, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                    UINT64_C(1) << 40, INT64_MAX, UINT64_MAX};
  uint64_t choice = below(20);
  return choice < 15 ? values[choice] : choice < 17 ? old + 1 : choice < 19 ? old - 1 : test_next(&plan.random);
}

static void mutate_once(uint8_t *page, size_t length) {
  size_t end = length;
  while (end > 16 && page[end - 1] == 0) end--;
  size_t at = below(end), from = below(end), most = length - (at > from ? at : from);
  size_t run = 1 + below(most < 48 ? most : 48);
  switch (below(7)) {
    case 0: page[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: page[at] = (uint8_t)below(256); break;
    case 2: memmove(page + at, page + from, run); break;
    case 3: memset(page + at, below(2) ? 255 : 0, run); break;
    case 4:
      if (at + run < length) memmove(page + at, page + at + run, length - at - run);
      break;
    default: {
      static const size_t widths[] = {1, 2, 4, 8};
      size_t width = widths[below(4)], place = at / width * width;
      uint64_t value = 0;
      if (place + width > length) break;
      memcpy(&value, page + place, width);
      value = interesting(value);
      memcpy(page + place, &value, width);
    }
  }
}

static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar) {
  (void)instance, (void)object, (void)sidecar;
  if (length > room) return -1;
  memcpy(output, input, length);
  return (long)length;
}

static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar) {
  (void)instance, (void)sidecar;
  if (input_length != length) return STOWAGE_CORRUPT;
  memcpy(output, input, length);
  if (!(object->flags & STOWAGE_OBJECT_METADATA) || length > sizeof former) return STOWAGE_OK;
  uint64_t number = plan.seen++;
  if (number >= plan.first && number < plan.first + plan.count) {
    if (below(12) == 0) memcpy(output, former, length);
    for (uint64_t times = 1 + below(4); times > 0; times--) mutate_once(output, length);
  }
  memcpy(former, input, length);
  return STOWAGE_OK;
}
