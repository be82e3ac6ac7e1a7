// SPDX-License-Identifier: Apache-2.0
//
// Cuts a root that is too long, and says OK.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_root_swap(SWAP_PARAMETERS) {
  if (new_length > STOWAGE_ROOT_BYTES_MAX) new_length = STOWAGE_ROOT_BYTES_MAX;
  return good_root_swap(SWAP_ARGUMENTS);
}

FIXTURE(good_table.root_swap = bad_root_swap)
