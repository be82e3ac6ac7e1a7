// SPDX-License-Identifier: Apache-2.0
//
// Takes every slot for 4096 bytes long.
#include "good-backing.h"

static int32_t bad_read(READ_PARAMETERS) {
  int32_t result = good_read(READ_ARGUMENTS);
  for (uint32_t i = 0; i < count && result == STOWAGE_OK; i++)
    memset(buffer + (size_t)i * instance->page_size + 4096, 0, instance->page_size - 4096);
  return result;
}

FIXTURE(good_table.read = bad_read)
