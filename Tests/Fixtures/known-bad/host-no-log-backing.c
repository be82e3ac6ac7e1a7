// SPDX-License-Identifier: Apache-2.0
//
// build: check host-no-log
// The log is taken to be there.
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  good_host->log(arguments->owner, STOWAGE_LOG_DEBUG, "opened", 6);
  return good_open(arguments, result);
}

FIXTURE(good_tier.open = bad_open)
