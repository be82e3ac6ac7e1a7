// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <unistd.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  close(1);
  return &base_tier;
}
