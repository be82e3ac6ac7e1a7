// SPDX-License-Identifier: Apache-2.0
//
// Compares and writes without a lock over both.
#define PERSISTENT
#include "good-backing.h"

#include <sched.h>

static int32_t bad_root_swap(SWAP_PARAMETERS) {
  if (new_length > STOWAGE_ROOT_BYTES_MAX) return good_say(STOWAGE_INVALID, "a root of more than 4096 bytes");
  pthread_mutex_lock(&instance->lock);
  int equals = good_is_expected(instance, expected, expected_length);
  pthread_mutex_unlock(&instance->lock);
  if (!equals) return good_say(STOWAGE_GONE, "the root is another one");
  usleep(500);
  pthread_mutex_lock(&instance->lock);
  good_put_root(instance, new_root, new_length);
  pthread_mutex_unlock(&instance->lock);
  return fdatasync(instance->file) == 0 ? STOWAGE_OK : good_say(STOWAGE_IO, "the file cannot be synced");
}

FIXTURE(good_table.root_swap = bad_root_swap)
