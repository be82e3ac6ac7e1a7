// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdlib.h>
#include <string.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  size_t size = (size_t)3 << 30;
  char *memory = malloc(size);
  const char why[] = "no memory for me";
  if (memory == 0) {
    host->set_error(why, sizeof why - 1);
    return 0;
  }
  memset(memory, 1, 1 << 20);
  return &base_tier;
}
