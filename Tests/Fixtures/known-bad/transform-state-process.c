// SPDX-License-Identifier: Apache-2.0
//
// The state is of use in the process that saved it only.
#define STATE
#include "good-transform.h"

#include <unistd.h>

static int32_t bad_state_save(stowage_instance *instance, uint8_t *state, size_t room, size_t *length) {
  int32_t result = good_state_save(instance, state, room, length);
  uint32_t process = (uint32_t)getpid();
  if (result == STOWAGE_OK)
    for (int i = 0; i < 4; i++) state[i] ^= (uint8_t)(process >> (8 * i));
  return result;
}

static int32_t bad_state_load(stowage_instance *instance, const uint8_t *state, size_t length) {
  int32_t result = good_state_load(instance, state, length);
  uint32_t process = (uint32_t)getpid();
  instance->key ^= process;
  return result;
}

FIXTURE(good_tier.state_save = bad_state_save, good_tier.state_load = bad_state_load)
