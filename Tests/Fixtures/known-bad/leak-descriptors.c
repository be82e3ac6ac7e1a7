// SPDX-License-Identifier: Apache-2.0
//
// Opens a file for each instance and never closes it.
#include "good-transform.h"

#include <fcntl.h>
#include <unistd.h>

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result != STOWAGE_OK) return result;
  // Not so many that nothing else can be opened any more.
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (file > 700) close(file);
  return result;
}

FIXTURE(good_tier.open = bad_open)
