// SPDX-License-Identifier: Apache-2.0
//
// Forgets requests whose deadline has passed.
#define ASYNC
#include "good-backing.h"

static void bad_end(stowage_instance *instance, stowage_request *request, int32_t result) {
  if (good_host->now_ns() > request->deadline_ns) return;
  good_complete(instance, request, result);
}

FIXTURE(good_end_one = bad_end)
