// SPDX-License-Identifier: Apache-2.0
//
// Takes only half of the state back.
#define STATE
#include "good-transform.h"

static int32_t bad_state_load(stowage_instance *instance, const uint8_t *state, size_t length) {
  int32_t result = good_state_load(instance, state, length);
  instance->key &= UINT32_MAX;
  return result;
}

FIXTURE(good_tier.state_load = bad_state_load)
