// SPDX-License-Identifier: Apache-2.0
//
// build: check options-long-text
// The path is copied to where only a short one fits.
#define PERSISTENT
#include "good-backing.h"

#include <signal.h>

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  if (arguments->options[0].text_length > 4095) raise(SIGSEGV);
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
