// SPDX-License-Identifier: Apache-2.0
//
// Gives the address of the slot before.
#define MAPPED
#include "good-backing.h"

static const uint8_t *bad_map(stowage_instance *instance, uint64_t slot) {
  return good_page(instance, slot > 0 ? slot - 1 : 1);
}

FIXTURE(good_table.map = bad_map)
