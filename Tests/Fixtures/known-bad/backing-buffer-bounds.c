// SPDX-License-Identifier: Apache-2.0
//
// read puts a zero behind the buffer.
#include "good-backing.h"

static int32_t bad_read(READ_PARAMETERS) {
  int32_t result = good_read(READ_ARGUMENTS);
  if (result == STOWAGE_OK) ((volatile uint8_t *)buffer)[(size_t)count * instance->page_size] = 0;
  return result;
}

FIXTURE(good_table.read = bad_read)
