// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <signal.h>
#include <unistd.h>

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  // Deaf to every signal that can be ignored, and with its pipes closed.
  for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
  for (int descriptor = 0; descriptor < 1024; descriptor++) close(descriptor);
  for (;;) pause();
  return &base_tier;
}
