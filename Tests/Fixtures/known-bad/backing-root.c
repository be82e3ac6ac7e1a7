// SPDX-License-Identifier: Apache-2.0
//
// Has no answer when there is no root yet.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_root_read(stowage_instance *instance, uint8_t *root, size_t room, size_t *length) {
  int32_t code = good_root_read(instance, root, room, length);
  return code == STOWAGE_OK && *length == 0 ? STOWAGE_GONE : code;
}

FIXTURE(good_table.root_read = bad_root_read)
