// SPDX-License-Identifier: Apache-2.0
//
// Writes the whole root, whatever the room.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_root_read(stowage_instance *instance, uint8_t *root, size_t room, size_t *length) {
  int32_t code = good_root_read(instance, root, room, length);
  return code == STOWAGE_TOO_BIG ? good_root_read(instance, root, STOWAGE_ROOT_BYTES_MAX, length) : code;
}

FIXTURE(good_table.root_read = bad_root_read)
