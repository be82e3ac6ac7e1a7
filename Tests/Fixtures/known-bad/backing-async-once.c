// SPDX-License-Identifier: Apache-2.0
//
// Completes a sync twice.
#define ASYNC
#include "good-backing.h"

static void bad_end(stowage_instance *instance, stowage_request *request, int32_t result) {
  int twice = request->operation == STOWAGE_OPERATION_SYNC;
  good_complete(instance, request, result);
  if (twice) good_complete(instance, request, result);
}

FIXTURE(good_end_one = bad_end)
