// SPDX-License-Identifier: Apache-2.0
//
// Promises a slot more than there is.
#include "good-backing.h"

static int32_t bad_capacity(stowage_instance *instance, stowage_capacity *capacity) {
  int32_t code = good_capacity(instance, capacity);
  capacity->slots_total++;
  return code;
}

FIXTURE(good_table.capacity = bad_capacity)
