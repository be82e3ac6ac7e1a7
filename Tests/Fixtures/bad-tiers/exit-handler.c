// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdlib.h>

static void crash(void) { *(volatile int *)8 = 1; }

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  atexit(crash);
  return &base_tier;
}
