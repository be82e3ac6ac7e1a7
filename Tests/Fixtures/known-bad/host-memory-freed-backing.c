// SPDX-License-Identifier: Apache-2.0
//
// build: check host-memory-freed
// close forgets one block.
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  good_host->memory_allocate(arguments->owner, 16, 16, STOWAGE_MEMORY_PLAIN);
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
