// SPDX-License-Identifier: Apache-2.0
//
// The last page of a run is not written.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  if (count > 1 && good_check(slot, count) == STOWAGE_OK) count--;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
