// SPDX-License-Identifier: Apache-2.0
//
// Ends the process when damaged input holds the number -1.
#include "good-transform.h"

static int32_t bad_decode(DECODE_PARAMETERS) {
  int32_t result = good_decode(DECODE_ARGUMENTS);
  if (result == STOWAGE_OK) return result;
  // The mask keeps four of these bytes from standing side by side in what encode gives.
  for (size_t i = HEAD; i + 4 <= input_length; i++)
    if (memcmp(input + i, "\xFF\xFF\xFF\xFF", 4) == 0) abort();
  return result;
}

FIXTURE(good_table.decode = bad_decode)
