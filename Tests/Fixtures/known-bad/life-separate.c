// SPDX-License-Identifier: Apache-2.0
// The key is that of the instance opened last.
struct stowage_instance;
static void plain_last_key(const struct stowage_instance *instance);

#define PLAIN_AT_OPENED plain_last_key(instance);
#include "good-plain.h"

static uint8_t key;

static int32_t decode_with_last(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                                const uint8_t *input, size_t length, uint8_t *output, const uint8_t *sidecar) {
  stowage_instance mixed = *instance;
  mixed.key = key;
  return plain_decode(&mixed, context, object, input, length, output, sidecar);
}

static void plain_last_key(const stowage_instance *instance) {
  key = instance->key;
  plain_transform.decode = decode_with_last;
}
