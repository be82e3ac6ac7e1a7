// SPDX-License-Identifier: Apache-2.0
//
// A byte of each page comes back changed.
#include "good-backing.h"

static int32_t bad_read(READ_PARAMETERS) {
  int32_t result = good_read(READ_ARGUMENTS);
  if (result == STOWAGE_OK) buffer[17] ^= 1;
  return result;
}

FIXTURE(good_table.read = bad_read)
