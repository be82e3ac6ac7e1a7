// SPDX-License-Identifier: Apache-2.0
//
// All instances have the same slots.
#include "good-backing.h"

static uint8_t *shared[17];

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code != STOWAGE_OK) return code;
  // Per page size in units of 4096 bytes; kept for ever.
  uint8_t **place = &shared[arguments->page_size / 4096];
  if (!*place) {
    void *memory =
        mmap(0, (*result)->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    *place = memory;
  }
  (*result)->pages = *place;
  return code;
}

FIXTURE(good_tier.open = bad_open)
