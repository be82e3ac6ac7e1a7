// SPDX-License-Identifier: Apache-2.0
//
// build: check host-messages
// A message has a line end.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  return code == STOWAGE_INVALID ? good_say(code, "no such file\n") : code;
}

FIXTURE(good_tier.open = bad_open)
