// SPDX-License-Identifier: Apache-2.0
//
// Loses a block of malloc's with each page.
#include "good-transform.h"

static void *volatile lost;

static int32_t bad_encode(ENCODE_PARAMETERS) {
  lost = malloc(64);
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
