// SPDX-License-Identifier: Apache-2.0
//
// The process's number goes into the checksum.
#include "good-transform.h"

#include <unistd.h>

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result == STOWAGE_OK) (*instance)->key = (uint64_t)getpid();
  return result;
}

FIXTURE(good_tier.open = bad_open)
