// SPDX-License-Identifier: Apache-2.0
//
// A trim takes the slot behind it along.
#include "good-backing.h"

static int32_t bad_trim(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count) {
  if (slot < SLOTS && count < SLOTS - slot) count++;
  return good_trim(instance, context, slot, count);
}

FIXTURE(good_table.trim = bad_trim)
