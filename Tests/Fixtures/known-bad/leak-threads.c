// SPDX-License-Identifier: Apache-2.0
//
// Starts a thread for each instance that never ends.
#include "good-transform.h"

#include <limits.h>
#include <pthread.h>
#include <unistd.h>

static void *wait_for_ever(void *argument) {
  (void)argument;
  while (1) pause();
  return 0;
}

static int32_t bad_open(const stowage_open *arguments, stowage_instance **instance) {
  int32_t result = good_open(arguments, instance);
  if (result != STOWAGE_OK) return result;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 65536);
  pthread_t thread;
  (void)pthread_create(&thread, &attributes, wait_for_ever, 0);
  pthread_attr_destroy(&attributes);
  return result;
}

FIXTURE(good_tier.open = bad_open)
