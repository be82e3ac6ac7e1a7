// SPDX-License-Identifier: Apache-2.0
//
// Loses a block of malloc's with each instance.
#include "good-transform.h"

static void *volatile lost;

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  lost = malloc(64);
  return good_open(arguments, instance);
}

FIXTURE(good_tier.open = bad_open)
