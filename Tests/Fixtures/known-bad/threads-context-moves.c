// SPDX-License-Identifier: Apache-2.0
//
// A context works only on the thread that opened it.
#include "good-transform.h"

#include <pthread.h>

static int32_t bad_thread_open(stowage_instance *instance, uint32_t use, stowage_context **context) {
  int32_t result = good_thread_open(instance, use, context);
  if (result == STOWAGE_OK) (*context)->notes[0] = (uint64_t)pthread_self();
  return result;
}

static int32_t bad_encode(ENCODE_PARAMETERS) {
  if (context->notes[0] != (uint64_t)pthread_self()) return good_say(STOWAGE_INVALID, "the context is another thread's");
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_tier.thread_open = bad_thread_open, good_table.encode = bad_encode)
