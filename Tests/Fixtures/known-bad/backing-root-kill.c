// SPDX-License-Identifier: Apache-2.0
//
// Keeps the root in memory, and brings it to the file when it is closed.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code != STOWAGE_OK) return code;
  good_head *copy = malloc(sizeof *copy);
  if (!copy) abort();
  memcpy(copy, (*result)->head, sizeof *copy);
  (*result)->head = copy;
  return code;
}

static void bad_close(stowage_instance *instance) {
  good_head *copy = instance->head;
  instance->head = (good_head *)(instance->pages - HEAD);
  memcpy(instance->head, copy, sizeof *copy);
  free(copy);
  good_close(instance);
}

FIXTURE(good_tier.open = bad_open, good_tier.close = bad_close)
