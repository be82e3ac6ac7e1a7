// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdlib.h>
#include <unistd.h>

// What it leaves is in no group and no session of the helper's, and has no parent.
const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (;;) pause();
  }
  usleep(50000);
  exit(0);
}
