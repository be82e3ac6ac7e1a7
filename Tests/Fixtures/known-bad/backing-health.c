// SPDX-License-Identifier: Apache-2.0
//
// Does not say how it fares.
#include "good-backing.h"

static int32_t bad_health(stowage_instance *instance, stowage_health *health) {
  int32_t code = good_health(instance, health);
  health->state = 0;
  return code;
}

FIXTURE(good_tier.health = bad_health)
