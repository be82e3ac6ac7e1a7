// SPDX-License-Identifier: Apache-2.0
// The whole table is copied, however long it is.
#define PLAIN_NO_ENTRY
#include "good-plain.h"

static stowage_host copy;
static const stowage_host *volatile used;

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  used = host;
  copy = *used;
  used = &copy;
  return plain_entry(host);
}
