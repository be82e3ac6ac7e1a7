// SPDX-License-Identifier: Apache-2.0
//
// Serves only the first slot of a request.
#define ASYNC
#include "good-backing.h"

static int32_t bad_serve(stowage_instance *instance, stowage_request *request) {
  if (request->operation != STOWAGE_OPERATION_READ || good_check(request->slot, request->slot_count) != STOWAGE_OK)
    return good_perform(instance, request);
  return good_read(instance, 0, request->slot, 1, request->buffer, request->objects);
}

FIXTURE(good_serve_one = bad_serve)
