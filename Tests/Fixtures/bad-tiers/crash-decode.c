// SPDX-License-Identifier: Apache-2.0
#include "base.h"

static int32_t crash_decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                            const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  (void)instance, (void)context, (void)object, (void)input, (void)input_length, (void)sidecar;
  *(volatile uint8_t *)(output - (uintptr_t)output + 8) = 1;
  return STOWAGE_OK;
}

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  base_transform.decode = crash_decode;
  return &base_tier;
}
