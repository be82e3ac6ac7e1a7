// SPDX-License-Identifier: Apache-2.0
//
// Changes the page that it writes for a moment.
#include "good-backing.h"

static int32_t bad_write(WRITE_PARAMETERS) {
  volatile uint8_t *byte = (volatile uint8_t *)buffer;
  *byte = *byte ^ 1;
  *byte = *byte ^ 1;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_table.write = bad_write)
