// SPDX-License-Identifier: Apache-2.0
//
// Forgets the root when it is opened again.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code == STOWAGE_OK) memset((*result)->head->roots, 0, sizeof (*result)->head->roots);
  return code;
}

FIXTURE(good_tier.open = bad_open)
