// SPDX-License-Identifier: Apache-2.0
//
// build: check host-no-random
// What random_fill answers is not looked at.
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  uint8_t salt[16];
  good_host->random_fill(salt, sizeof salt);
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
