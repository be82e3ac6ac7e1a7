// SPDX-License-Identifier: Apache-2.0
//
// Answers root_swap before the device does.
#define PERSISTENT
#define STORAGE
#include "good-backing.h"

static int32_t bad_swap(SWAP_PARAMETERS) {
  if (new_length > STOWAGE_ROOT_BYTES_MAX) return good_say(STOWAGE_INVALID, "a root of more than 4096 bytes");
  pthread_mutex_lock(&instance->lock);
  int equals = good_is_expected(instance, expected, expected_length);
  int32_t code = equals ? good_put_root(instance, new_root, new_length) : STOWAGE_GONE;
  pthread_mutex_unlock(&instance->lock);
  return code == STOWAGE_GONE ? good_say(code, "the root is another one") : code;
}

FIXTURE(good_table.root_swap = bad_swap)
