// SPDX-License-Identifier: Apache-2.0
//
// Answers sync before the device does.
#define PERSISTENT
#define STORAGE
#include "good-backing.h"

static int32_t bad_sync(stowage_instance *instance, stowage_context *context) {
  (void)instance, (void)context;
  return STOWAGE_OK;
}

FIXTURE(good_table.sync = bad_sync)
