// SPDX-License-Identifier: Apache-2.0
//
// Slots past the end are those at the beginning.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  int32_t result = good_write(WRITE_ARGUMENTS);
  if (result != STOWAGE_GONE || slot < SLOTS) return result;
  slot %= SLOTS;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
