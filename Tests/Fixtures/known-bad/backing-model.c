// SPDX-License-Identifier: Apache-2.0
//
// A slot takes no more than six writes.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  if (good_check(slot, count) != STOWAGE_OK) return STOWAGE_GONE;
  for (uint32_t i = 0; i < count; i++) {
    if (instance->writes[slot + i] >= 6) continue;
    instance->writes[slot + i]++;
    good_write(instance, context, slot + i, 1, buffer + (size_t)i * instance->page_size, objects);
  }
  return STOWAGE_OK;
}

FIXTURE(good_table.write = bad_write)
