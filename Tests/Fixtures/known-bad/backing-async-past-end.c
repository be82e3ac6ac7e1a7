// SPDX-License-Identifier: Apache-2.0
//
// Says OK to requests for slots that there are none of.
#define ASYNC
#include "good-backing.h"

static int32_t bad_serve(stowage_instance *instance, stowage_request *request) {
  int32_t code = good_perform(instance, request);
  return code == STOWAGE_GONE ? STOWAGE_OK : code;
}

FIXTURE(good_serve_one = bad_serve)
