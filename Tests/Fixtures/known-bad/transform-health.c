// SPDX-License-Identifier: Apache-2.0
//
// Says that it fares well, and why.
#include "good-transform.h"

static int32_t bad_health(stowage_instance *instance, stowage_health *health) {
  (void)instance;
  health->state = STOWAGE_HEALTH_GOOD;
  if (health->struct_size >= sizeof *health) strcpy(health->message, "all is well");
  return STOWAGE_OK;
}

FIXTURE(good_tier.health = bad_health)
