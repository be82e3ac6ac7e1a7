// SPDX-License-Identifier: Apache-2.0
//
// A tier that is in order, for the fixtures beside this file to spoil. FIXTURE_NAME comes from the build.
#ifndef FIXTURE_BASE_H
#define FIXTURE_BASE_H

#include <stdint.h>
#include <string.h>

#include <stowage/tier.h>

static int32_t base_open(const stowage_open *arguments, stowage_instance **instance) {
  (void)arguments;
  static char place;
  *instance = (stowage_instance *)&place;
  return STOWAGE_OK;
}

static void base_close(stowage_instance *instance) { (void)instance; }

static int32_t base_encode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                           const uint8_t *input, uint8_t *output, size_t output_room, size_t *output_length,
                           uint8_t *sidecar) {
  (void)instance, (void)context, (void)sidecar;
  if (object->length > output_room) return STOWAGE_TOO_BIG;
  memcpy(output, input, object->length);
  *output_length = object->length;
  return STOWAGE_OK;
}

static int32_t base_decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                           const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  (void)instance, (void)context, (void)sidecar;
  if (input_length != object->length) return STOWAGE_CORRUPT;
  memcpy(output, input, input_length);
  return STOWAGE_OK;
}

static stowage_transform base_transform = {
    .struct_size = sizeof(stowage_transform), .encode = base_encode, .decode = base_decode};

static stowage_tier base_tier = {.magic = STOWAGE_TIER_MAGIC,
                                 .struct_size = sizeof(stowage_tier),
                                 .abi_major = STOWAGE_ABI_MAJOR,
                                 .abi_minor = STOWAGE_ABI_MINOR,
                                 .role = STOWAGE_ROLE_TRANSFORM,
                                 .lifetime = STOWAGE_LIFETIME_TRANSIENT,
                                 .access = STOWAGE_ACCESS_TERMINAL,
                                 .priority = 500,
                                 .thread_model = STOWAGE_THREADS_PARALLEL,
                                 .name = FIXTURE_NAME,
                                 .version = "1.2.3",
                                 .summary = "Copies what it gets",
                                 .vendor = "Test",
                                 .licence = "Apache-2.0",
                                 .url = "https://example.org/tier",
                                 .option_size = sizeof(stowage_option),
                                 .open = base_open,
                                 .close = base_close,
                                 .transform = &base_transform};

#endif
