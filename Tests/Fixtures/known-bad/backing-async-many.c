// SPDX-License-Identifier: Apache-2.0
//
// Takes requests that it has no place for, and forgets them.
#define ASYNC
#include "good-backing.h"

static int32_t bad_submit(stowage_instance *instance, stowage_context *context, stowage_request *const *requests,
                          uint32_t count, uint32_t *taken) {
  int32_t code = good_submit(instance, context, requests, count, taken);
  *taken = count;
  return code == STOWAGE_RETRY ? STOWAGE_OK : code;
}

FIXTURE(good_table.submit = bad_submit)
