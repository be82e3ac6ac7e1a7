// SPDX-License-Identifier: Apache-2.0
//
// XXH3, inline, with the vectors that every processor of its kind has; and with wider ones where there are any. The values
// are the same.
#include "stowage_system.h"
#include "wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t stowage_hash64_narrow(const void *bytes, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, size, seed);
}

uint64_t stowage_hash64(const void *bytes, size_t size, uint64_t seed) {
#ifdef STOWAGE_WIDE
  // Up to 240 bytes XXH3 uses no vectors.
  if (size > 240 && stowage_is_wide())
    return stowage_hash64_avx2(bytes, size, seed);
#endif
  return XXH3_64bits_withSeed(bytes, size, seed);
}

void stowage_hash128(const void *bytes, size_t size, uint64_t seed, uint64_t out[2]) {
  XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, size, seed);
  out[0] = hash.low64;
  out[1] = hash.high64;
}
