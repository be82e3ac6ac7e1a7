// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// What it leaves is in no group and no session of the helper's, and has no parent.
const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (;;) pause();
  }
  waitpid(child, 0, 0);
  exit(0);
  return &base_tier;
}
