// SPDX-License-Identifier: Apache-2.0
//
// build: check options-missing-text
// The path is measured without looking whether there is one.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  if (strlen(arguments->options[0].text) > 65536) return good_say(STOWAGE_INVALID, "the path is too long");
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
