// SPDX-License-Identifier: Apache-2.0
//
// Loses a block of malloc's with each context.
#include "good-transform.h"

static void *volatile lost;

static int32_t bad_thread_open(stowage_instance *instance, uint32_t use, stowage_context **context) {
  lost = malloc(64);
  return good_thread_open(instance, use, context);
}

FIXTURE(good_tier.thread_open = bad_thread_open)
