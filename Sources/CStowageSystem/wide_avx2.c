// SPDX-License-Identifier: Apache-2.0
//
// Compiled for AVX2: XXH3 from the same header as in hash.c, in half the instructions. What it includes comes before the
// target is set, so that nothing else is compiled so.
#include "wide.h"

#ifdef STOWAGE_WIDE
#include <assert.h>
#include <immintrin.h>
#include <limits.h>
#include <stdlib.h>

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define XXH_INLINE_ALL
#define XXH_VECTOR 2 // XXH_AVX2, which the header names later
#include <xxhash.h>

uint64_t stowage_hash64_avx2(const void *bytes, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, size, seed);
}

void stowage_fill_avx2(void *bytes, size_t size, uint64_t word) { STOWAGE_FILL(bytes, size, word); }
#pragma clang attribute pop
#endif
