// SPDX-License-Identifier: Apache-2.0
//
// Each instance has a key of its own and keeps it for itself.
#include "good-transform.h"

static _Atomic uint64_t count;

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result == STOWAGE_OK) (*instance)->key = ++count;
  return result;
}

FIXTURE(good_tier.open = bad_open)
