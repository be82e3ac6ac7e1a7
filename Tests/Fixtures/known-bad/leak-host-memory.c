// SPDX-License-Identifier: Apache-2.0
//
// Takes a block of the host's memory for each instance and never frees it.
#include "good-transform.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result == STOWAGE_OK) (*instance)->place = good_host->memory_allocate(arguments->owner, 64, 16, STOWAGE_MEMORY_PLAIN);
  return result;
}

FIXTURE(good_tier.open = bad_open)
