// SPDX-License-Identifier: Apache-2.0
// As much is copied of the host's table as the host says there is.
#include <signal.h>

static void abort_by_signal(void) { raise(SIGSEGV); }

#define PLAIN_NO_ENTRY
#include "good-plain.h"

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  struct {
    stowage_host host;
    volatile char after[8];
  } copy = {.after = "intact"};
  for (uint32_t at = 0; at < host->struct_size && at < sizeof copy; at++) ((volatile char *)&copy)[at] = ((const char *)host)[at];
  if (copy.after[0] != 'i') abort_by_signal();
  return plain_entry(host);
}
