// SPDX-License-Identifier: Apache-2.0
//
// build: check host-no-extensions
// get_extension is taken to be there.
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  if (good_host->struct_size >= sizeof *good_host) good_host->get_extension("nobody-knows-this/1");
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
