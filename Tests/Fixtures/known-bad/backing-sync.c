// SPDX-License-Identifier: Apache-2.0
//
// Takes it for an error when there is nothing to sync.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  __atomic_store_n(&instance->notes[0], 1, __ATOMIC_RELAXED);
  return good_write(WRITE_ARGUMENTS);
}

static int32_t bad_sync(stowage_instance *instance, stowage_context *context) {
  if (!__atomic_exchange_n(&instance->notes[0], 0, __ATOMIC_RELAXED)) return good_say(STOWAGE_INVALID, "nothing to sync");
  return good_sync(instance, context);
}

FIXTURE(good_table.write = bad_write, good_table.sync = bad_sync)
