// SPDX-License-Identifier: Apache-2.0
// A context is filled in before it is known to be there.
#include <stowage/tier.h>

static int32_t careless_thread_open(stowage_instance *instance, uint32_t use, stowage_context **place);

#define PLAIN_AT_ENTRY plain_tier.thread_open = careless_thread_open;
#include "good-plain.h"

static int32_t careless_thread_open(stowage_instance *instance, uint32_t use, stowage_context **place) {
  stowage_context *context = plain_host.memory_allocate(instance->owner, sizeof *context, 64, STOWAGE_MEMORY_PLAIN);
  context->use = use;
  *place = context;
  return STOWAGE_OK;
}
