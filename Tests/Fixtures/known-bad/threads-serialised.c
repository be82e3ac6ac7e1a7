// SPDX-License-Identifier: Apache-2.0
//
// Takes one call at a time, but only from the thread that opened the instance.
#define THREADS STOWAGE_THREADS_ONE_FOR_ALL
#define NO_CONTEXTS
#include "good-transform.h"

#include <pthread.h>

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result == STOWAGE_OK) (*instance)->notes[0] = (uint64_t)pthread_self();
  return result;
}

static int32_t bad_decode(DECODE_PARAMETERS) {
  if (instance->notes[0] != (uint64_t)pthread_self()) return good_damaged();
  return good_decode(DECODE_ARGUMENTS);
}

FIXTURE(good_tier.open = bad_open, good_table.decode = bad_decode)
