// SPDX-License-Identifier: Apache-2.0
#include "base.h"

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  for (volatile int turns = 0;; turns++)
    if (turns == 1000000) turns = 0;
  return &base_tier;
}
