// SPDX-License-Identifier: Apache-2.0
//
// Says OK when there is no room for the state.
#define STATE
#include "good-transform.h"

static int32_t bad_state_save(stowage_instance *instance, uint8_t *state, size_t room, size_t *length) {
  int32_t result = good_state_save(instance, state, room, length);
  return room == 0 ? STOWAGE_OK : result;
}

FIXTURE(good_tier.state_save = bad_state_save)
