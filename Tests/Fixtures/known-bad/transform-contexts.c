// SPDX-License-Identifier: Apache-2.0
//
// Forgets what all contexts share when one of them ends.
#include "good-transform.h"

static int32_t bad_thread_open(stowage_instance *instance, uint32_t use, stowage_context **context) {
  __atomic_store_n(&instance->notes[0], 0, __ATOMIC_RELAXED);
  return good_thread_open(instance, use, context);
}

static void bad_thread_close(stowage_instance *instance, stowage_context *context) {
  __atomic_store_n(&instance->notes[0], 1, __ATOMIC_RELAXED);
  good_thread_close(instance, context);
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  if (__atomic_load_n(&instance->notes[0], __ATOMIC_RELAXED)) return good_damaged();
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_tier.thread_open = bad_thread_open, good_tier.thread_close = bad_thread_close, good_table.decode = bad_decode)
