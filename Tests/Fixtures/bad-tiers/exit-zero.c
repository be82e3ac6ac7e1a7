// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdlib.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  exit(0);
  return &base_tier;
}
