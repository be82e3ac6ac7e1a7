// SPDX-License-Identifier: Apache-2.0
// The entry starts a thread.
#include <pthread.h>
#include <unistd.h>

static void *plain_idle(void *unused) {
  for (;;) pause();
  return unused;
}

#define PLAIN_AT_ENTRY pthread_t thread; if (pthread_create(&thread, 0, plain_idle, 0) != 0) return 0;
#include "good-plain.h"
