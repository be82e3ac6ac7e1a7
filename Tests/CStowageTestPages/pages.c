// SPDX-License-Identifier: Apache-2.0
#include "stowage_test_pages.h"

#include <string.h>

static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static void fill_random(uint8_t *at, const uint8_t *end, uint64_t *state) {
  for (; at < end; at += 8) {
    uint64_t word = next(state);
    memcpy(at, &word, end - at < 8 ? (size_t)(end - at) : 8);
  }
}

static void fill_text(uint8_t *at, const uint8_t *end, uint64_t *state) {
  static const char *const words[16] = {"the ",  "store ", "page ",    "of ",    "memory ", "level\n", "and ",  "chunk ",
                                        "frame ", "under ", "pressure ", "slot ", "tier ",   "oldest ", "takes ", "back. "};
  while (at < end) {
    uint64_t choice = next(state);
    for (int i = 0; i < 16 && at < end; i++, choice >>= 4) {
      const char *word = words[choice & 15];
      size_t length = strlen(word);
      if (length > (size_t)(end - at)) length = (size_t)(end - at);
      memcpy(at, word, length);
      at += length;
    }
  }
}

static void fill_runs(uint8_t *at, const uint8_t *end, uint64_t *state) {
  while (at < end) {
    uint64_t choice = next(state);
    size_t length = 1 + choice % 96;
    if (length > (size_t)(end - at)) length = (size_t)(end - at);
    memset(at, (int)(choice >> 32), length);
    at += length;
  }
}

void test_page_fill(uint8_t *page, size_t size, uint64_t seed, uint32_t kind) {
  uint64_t state = seed;
  if (kind == TEST_PAGE_ZERO || kind == TEST_PAGE_WORD) {
    uint64_t word = kind == TEST_PAGE_ZERO ? 0 : next(&state);
    for (size_t at = 0; at < size; at += 8) memcpy(page + at, &word, 8);
    return;
  }
  memcpy(page, &seed, 8);
  uint8_t *at = page + 8;
  const uint8_t *end = page + size;
  // How much of a mixed page is text differs, so that chunks have all lengths.
  if (kind == TEST_PAGE_MIXED) {
    uint8_t *middle = at + next(&state) % (size - 8);
    fill_text(at, middle, &state);
    at = middle;
  }
  if (kind == TEST_PAGE_TEXT) fill_text(at, end, &state);
  if (kind == TEST_PAGE_RUNS) fill_runs(at, end, &state);
  if (kind == TEST_PAGE_RANDOM || kind == TEST_PAGE_MIXED) fill_random(at, end, &state);
}

int test_page_matches(const uint8_t *page, size_t size, uint64_t seed, uint32_t kind) {
  uint8_t expected[65536];
  test_page_fill(expected, size, seed, kind);
  return memcmp(expected, page, size) == 0;
}

uint64_t test_page_seed(const uint8_t *page) {
  uint64_t seed;
  memcpy(&seed, page, 8);
  return seed;
}

void test_page_mark(uint8_t *page, size_t size, const uint8_t *marker, size_t stride) {
  for (size_t at = 0; at + 16 <= size; at += stride) memcpy(page + at, marker, 16);
}
