// SPDX-License-Identifier: Apache-2.0
//
// Compares only as many bytes as both roots have.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_root_swap(SWAP_PARAMETERS) {
  pthread_mutex_lock(&instance->lock);
  good_root *current = good_current(instance);
  if (current && expected_length > current->length) expected_length = current->length;
  pthread_mutex_unlock(&instance->lock);
  return good_root_swap(SWAP_ARGUMENTS);
}

FIXTURE(good_table.root_swap = bad_root_swap)
