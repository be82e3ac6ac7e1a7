// SPDX-License-Identifier: Apache-2.0
//
// Looks at the objects although there may be none.
#include "good-backing.h"

static volatile uint64_t seen;

static int32_t bad_write(WRITE_PARAMETERS) {
  if (good_check(slot, count) != STOWAGE_OK) return STOWAGE_GONE;
  seen = ((const volatile stowage_object *)objects)->id;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
