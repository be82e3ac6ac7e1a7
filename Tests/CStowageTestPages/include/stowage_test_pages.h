// SPDX-License-Identifier: Apache-2.0
//
// Pages with known contents, made quickly also in a debug build.
#ifndef STOWAGE_TEST_PAGES_H
#define STOWAGE_TEST_PAGES_H

#include <stddef.h>
#include <stdint.h>

enum {
  TEST_PAGE_ZERO,    // nothing but zeros
  TEST_PAGE_WORD,    // one word repeated
  TEST_PAGE_TEXT,    // words of a small vocabulary
  TEST_PAGE_RUNS,    // runs of one byte
  TEST_PAGE_RANDOM,  // incompressible
  TEST_PAGE_MIXED,   // text, then random bytes
  TEST_PAGE_KINDS
};

/// Fills a page with what follows from seed and kind. Kinds from TEXT on begin with the seed.
void test_page_fill(uint8_t *_Nonnull page, size_t size, uint64_t seed, uint32_t kind);

/// Whether the page is what test_page_fill makes of seed and kind. Pages of up to 64 KiB.
int test_page_matches(const uint8_t *_Nonnull page, size_t size, uint64_t seed, uint32_t kind);

/// The seed at a page's beginning, for kinds from TEXT on.
uint64_t test_page_seed(const uint8_t *_Nonnull page);

/// Sets 16 bytes again and again into a page, every `stride` bytes.
void test_page_mark(uint8_t *_Nonnull page, size_t size, const uint8_t *_Nonnull marker, size_t stride);

#endif
