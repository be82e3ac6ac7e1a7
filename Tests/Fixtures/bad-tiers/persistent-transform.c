// SPDX-License-Identifier: Apache-2.0
#include "base.h"

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  base_tier.lifetime = STOWAGE_LIFETIME_PERSISTENT;
  return &base_tier;
}
