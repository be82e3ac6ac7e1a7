// SPDX-License-Identifier: Apache-2.0
// A null function is called when the host is older.
#define PLAIN_NO_ENTRY
#include "good-plain.h"

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  const stowage_tier *(*volatile compatible)(void) = 0;
  if (host->abi_major == STOWAGE_ABI_MAJOR && host->abi_minor < STOWAGE_ABI_MINOR) return compatible();
  return plain_entry(host);
}
