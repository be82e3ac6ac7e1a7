// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <unistd.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  for (int descriptor = 3; descriptor < 16; descriptor++)
    if (write(descriptor, "garbage", 7) < 0) continue;
  return &base_tier;
}
