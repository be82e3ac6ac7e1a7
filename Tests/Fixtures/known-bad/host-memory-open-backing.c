// SPDX-License-Identifier: Apache-2.0
//
// build: check host-memory-open
// Without the second block the first is not freed.
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  void *probe = good_host->memory_allocate(arguments->owner, 32, 16, STOWAGE_MEMORY_PLAIN);
  if (!probe) return good_say(STOWAGE_RETRY, "no memory at all");
  int32_t code = good_open(arguments, result);
  if (code != STOWAGE_RETRY) good_host->memory_free(arguments->owner, probe, 32, STOWAGE_MEMORY_PLAIN);
  return code;
}

FIXTURE(good_tier.open = bad_open)
