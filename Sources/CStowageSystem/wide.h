// SPDX-License-Identifier: Apache-2.0
//
// What is done with wider vectors where the processor has them; and what both ways share.
#ifndef STOWAGE_WIDE_H
#define STOWAGE_WIDE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define STOWAGE_WIDE 1
/// For processors that have AVX2 only.
uint64_t stowage_hash64_avx2(const void *_Nonnull bytes, size_t size, uint64_t seed);
void stowage_fill_avx2(void *_Nonnull bytes, size_t size, uint64_t word);

static inline int stowage_is_wide(void) { return __builtin_cpu_supports("avx2"); }
#endif

/// Lines of 64 bytes at a time, in the widest vectors that the caller is compiled for.
#define STOWAGE_FILL(bytes, size, word)                                                                                \
  do {                                                                                                                 \
    uint64_t line[8] = {word, word, word, word, word, word, word, word};                                               \
    size_t at = 0;                                                                                                     \
    for (; at + 64 <= size; at += 64)                                                                                  \
      memcpy((char *)bytes + at, line, 64);                                                                            \
    for (; at + 8 <= size; at += 8)                                                                                    \
      memcpy((char *)bytes + at, &word, 8);                                                                            \
  } while (0)

#endif
