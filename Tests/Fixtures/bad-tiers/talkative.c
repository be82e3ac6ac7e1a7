// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdio.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  for (int line = 0; line < 4000; line++) {
    puts("{\"plugins\": [], garbage");
    fputs("end 0, and a line long enough to fill every pipe between here and the reader\n", stderr);
  }
  fflush(stdout);
  return &base_tier;
}
