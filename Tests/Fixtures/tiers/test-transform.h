// SPDX-License-Identifier: Apache-2.0
//
// A test transform: the file that includes this defines encode_bytes and decode_bytes, and may define FLAGS and
// SIDECAR.
#ifndef TEST_TRANSFORM_H
#define TEST_TRANSFORM_H

#ifndef PRIORITY
#define PRIORITY 500
#endif

#include "test-tier.h"

#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef SIDECAR
#define SIDECAR 0
#endif
#define PRESERVES ((FLAGS) & STOWAGE_FLAG_LENGTH_PRESERVING)

typedef struct {
  test_instance base;
  uint64_t key;
} transform_instance;

// The length, or -1 when it does not fit.
static long encode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input, size_t length,
                         uint8_t *output, size_t room, uint8_t *sidecar);
// STOWAGE_OK, CORRUPT or AUTH; writes exactly `length` bytes when OK.
static int32_t decode_bytes(transform_instance *instance, const stowage_object *object, const uint8_t *input,
                            size_t input_length, uint8_t *output, size_t length, const uint8_t *sidecar);

static int32_t transform_open(const stowage_open *arguments, stowage_instance **result) {
  transform_instance *instance =
      test_host->memory_allocate(arguments->owner, sizeof *instance, 64, STOWAGE_MEMORY_SECRET);
  if (!instance) return test_say(STOWAGE_RETRY, "no memory");
  test_begin(&instance->base, arguments);
#ifdef KEPT_KEY
  // What one instance encoded, another one decodes.
  instance->key = KEPT_KEY;
#else
  if (test_host->random_fill(&instance->key, sizeof instance->key) != STOWAGE_OK) return STOWAGE_IO;
#endif
  *result = (stowage_instance *)instance;
  return STOWAGE_OK;
}

static void transform_close(stowage_instance *raw) {
  transform_instance *instance = (transform_instance *)raw;
  test_end(&instance->base);
  test_host->memory_free(instance->base.owner, instance, sizeof *instance, STOWAGE_MEMORY_SECRET);
}

static int32_t transform_encode(stowage_instance *raw, stowage_context *context, const stowage_object *object,
                                const uint8_t *input, uint8_t *output, size_t room, size_t *output_length,
                                uint8_t *sidecar) {
  transform_instance *instance = (transform_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_ENCODE);
  test_check_object(&instance->base, object);
  REQUIRE((sidecar != 0) == (SIDECAR > 0));
  REQUIRE(!PRESERVES || room == object->length);
  REQUIRE(input + object->length <= output || output + room <= input);
  if (test_takes(KNOB_FAIL_ENCODES)) return test_leave(&instance->base, context, test_failure());
  // A failed encode gave nothing away: only one that gives bytes uses the id up.
  if (test_takes(KNOB_TOO_BIG)) {
    COUNT(COUNT_TOO_BIG, 1);
    return test_leave(&instance->base, context, STOWAGE_TOO_BIG);
  }
  if (!test_ids_add(&instance->base.ids, object->id)) COUNT(COUNT_IDS_REUSED, 1);
  long length = encode_bytes(instance, object, input, object->length, output, room, sidecar);
  if (length < 0) {
    COUNT(COUNT_TOO_BIG, 1);
    return test_leave(&instance->base, context, STOWAGE_TOO_BIG);
  }
  COUNT(COUNT_ENCODES, 1);
  *output_length = (size_t)length;
  return test_leave(&instance->base, context, STOWAGE_OK);
}

static int32_t transform_decode(stowage_instance *raw, stowage_context *context, const stowage_object *object,
                                const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  transform_instance *instance = (transform_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_DECODE);
  test_check_object(&instance->base, object);
  REQUIRE((sidecar != 0) == (SIDECAR > 0));
  REQUIRE(!PRESERVES || input_length == object->length);
  REQUIRE(input_length > 0 && input_length <= object->length);
  REQUIRE(input + input_length <= output || output + object->length <= input);
  if (test_takes(KNOB_FAIL_DECODES)) return test_leave(&instance->base, context, test_failure());
  int32_t result = decode_bytes(instance, object, input, input_length, output, object->length, sidecar);
  COUNT(COUNT_DECODES, 1);
  if (result != STOWAGE_OK) test_say(result, "what was given is not what encode gave");
  return test_leave(&instance->base, context, result);
}

static const stowage_transform test_transform = {.struct_size = sizeof(stowage_transform),
                                                 .sidecar_length = SIDECAR,
                                                 .encode = transform_encode,
                                                 .decode = transform_decode};

static const stowage_tier test_tier = {.magic = STOWAGE_TIER_MAGIC,
                                       .struct_size = sizeof(stowage_tier),
                                       .abi_major = STOWAGE_ABI_MAJOR,
                                       .abi_minor = STOWAGE_ABI_MINOR,
                                       .role = STOWAGE_ROLE_TRANSFORM,
                                       .lifetime = STOWAGE_LIFETIME_TRANSIENT,
                                       .access = ACCESS,
                                       .priority = PRIORITY,
                                       .thread_model = THREADS,
                                       .flags_required = FLAGS,
                                       .name = FIXTURE_NAME,
                                       .version = "1.0.0",
                                       .summary = "A transform for tests",
                                       .option_size = sizeof(stowage_option),
                                       .open = transform_open,
                                       .close = transform_close,
                                       .thread_open = test_thread_open,
                                       .thread_close = test_thread_close,
                                       .transform = &test_transform};

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  test_host = host;
  return &test_tier;
}

// A stream of 64-bit words from a seed (SplitMix64).
static inline uint64_t test_next(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

#endif
