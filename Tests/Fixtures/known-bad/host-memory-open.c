// SPDX-License-Identifier: Apache-2.0
// Without the second block the first is not freed.
#include <stowage/tier.h>

static int32_t careless_open(const stowage_open *arguments, stowage_instance **instance);

#define PLAIN_AT_ENTRY plain_tier.open = careless_open;
#include "good-plain.h"

static int32_t careless_open(const stowage_open *arguments, stowage_instance **instance) {
  void *probe = plain_host.memory_allocate(arguments->owner, 32, 16, STOWAGE_MEMORY_PLAIN);
  if (!probe) return plain_fail(STOWAGE_RETRY, "no memory at all");
  int32_t code = plain_open(arguments, instance);
  if (code == STOWAGE_RETRY) return code;
  plain_host.memory_free(arguments->owner, probe, 32, STOWAGE_MEMORY_PLAIN);
  return code;
}
