// SPDX-License-Identifier: Apache-2.0
//
// Clears its slots when it is opened.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code == STOWAGE_OK) memset((*result)->pages, 0, (*result)->bytes - HEAD);
  return code;
}

FIXTURE(good_tier.open = bad_open)
