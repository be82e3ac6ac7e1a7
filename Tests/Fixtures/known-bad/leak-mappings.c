// SPDX-License-Identifier: Apache-2.0
//
// Loses mapped memory with each instance.
#include "good-transform.h"

#include <sys/mman.h>

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  (void)!mmap(0, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return good_open(arguments, instance);
}

FIXTURE(good_tier.open = bad_open)
