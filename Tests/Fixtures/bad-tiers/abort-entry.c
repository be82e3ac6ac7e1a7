// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  fputs("\n\033[31mout of luck\n", stderr);
  abort();
  return &base_tier;
}
