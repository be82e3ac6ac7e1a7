// SPDX-License-Identifier: Apache-2.0
//
// Keeps what is written in memory, and brings it to the file when it is closed.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code != STOWAGE_OK) return code;
  size_t size = (*result)->bytes - HEAD;
  uint8_t *copy = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (copy == MAP_FAILED) abort();
  memcpy(copy, (*result)->pages, size);
  (*result)->pages = copy;
  return code;
}

static void bad_close(stowage_instance *instance) {
  size_t size = instance->bytes - HEAD;
  memcpy((uint8_t *)instance->head + HEAD, instance->pages, size);
  munmap(instance->pages, size);
  good_close(instance);
}

FIXTURE(good_tier.open = bad_open, good_tier.close = bad_close)
