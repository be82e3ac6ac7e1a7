// SPDX-License-Identifier: Apache-2.0
// Another major version ends the process.
#include <signal.h>

#define PLAIN_NO_ENTRY
#include "good-plain.h"

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  if (host->abi_major != STOWAGE_ABI_MAJOR) raise(SIGABRT);
  return plain_entry(host);
}
