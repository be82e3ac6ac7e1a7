// SPDX-License-Identifier: Apache-2.0
//
// Completes requests with its lock held.
#define ASYNC
#include "good-backing.h"

static void bad_end(stowage_instance *instance, stowage_request *request, int32_t result) {
  pthread_mutex_lock(&instance->lock);
  good_complete(instance, request, result);
  pthread_mutex_unlock(&instance->lock);
}

FIXTURE(good_end_one = bad_end)
