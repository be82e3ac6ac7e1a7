// SPDX-License-Identifier: Apache-2.0
// A transform that fails as it is told. Its name says which one it is: "squeeze" leaves out the zeros at a page's end
// and is terminal, "pack" does the same and is transparent, "cipher" is mandatory, preserves length and keeps 16 bytes
// beside each object, "swab" preserves length and is terminal, "sidecar" squeezes and keeps 8 bytes, "lossy" is lossy;
// with "serial" it stands one call at a time.
#include "faulty.h"

enum {
  ENCODE_CODE, ENCODE_CHARGES, DECODE_CODE, DECODE_CHARGES, WRONG_CHARGES, LIE_CHARGES, LIE_LENGTH, SILENT,
  CONTEXT_CODE, CONTEXT_CHARGES, CONTEXT_BYTES, ENCODE_DELAY_US, HEALTH_STATE,
  ENCODES = 32, DECODES, TOO_BIGS, OPENS, CLOSES, CONTEXTS, DEAD_CALLS, IN_ENCODE
};

#define LIVE UINT64_C(0x4C4956454C495645)

typedef struct {
  uint64_t live;
  block *control;
  uint64_t owner;
} instance;

typedef struct {
  instance *of;
  uint8_t *scratch;
  size_t bytes;
} context;

static int keeps_length(void) { return has("cipher") || has("swab"); }

// Closed instances are not freed, so that a call on one is seen.
static int is_dead(instance *self) {
  if (self->live == LIVE) return 0;
  add(self->control, DEAD_CALLS, 1);
  return 1;
}

static uint64_t sum(const uint8_t *bytes, size_t length, uint64_t id) {
  uint64_t hash = id ^ UINT64_C(0x9E3779B97F4A7C15);
  for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
  return hash;
}

// Of each instance its own, so that two of them do not undo each other.
static void mask(instance *self, const uint8_t *input, uint8_t *output, size_t length, uint64_t id) {
  uint64_t key = (id + sum((const uint8_t *)self->control->name, strlen(self->control->name), 0)) | 1;
  key *= UINT64_C(0x9E3779B97F4A7C15);
  for (size_t i = 0; i < length; i++) {
    key ^= key << 13, key ^= key >> 7, key ^= key << 17;
    output[i] = input[i] ^ (uint8_t)(key >> 24);
  }
}

static int32_t encode(stowage_instance *raw, stowage_context *raw_context, const stowage_object *object,
                      const uint8_t *input, uint8_t *output, size_t room, size_t *length, uint8_t *sidecar) {
  (void)raw_context;
  instance *self = (instance *)raw;
  block *b = self->control;
  if (is_dead(self)) return STOWAGE_INVALID;
  add(b, ENCODES, 1);
  if (get(b, ENCODE_DELAY_US) > 0) {
    add(b, IN_ENCODE, 1);
    wait_us(b, ENCODE_DELAY_US);
    add(b, IN_ENCODE, -1);
  }
  if (get(b, ENCODE_CODE) != 0 && charged(b, ENCODE_CHARGES))
    return fail_as(b, ENCODE_CODE, SILENT, "told to fail encoding");
  size_t count = object->length;
  if (keeps_length()) {
    if (room < count) return STOWAGE_TOO_BIG;
    mask(self, input, output, count, object->id);
    if (sidecar) {
      uint64_t hash = sum(output, count, object->id);
      memset(sidecar, 0, 16);
      memcpy(sidecar, &hash, 8);
    }
  } else {
    while (count > 0 && input[count - 1] == 0) count--;
    if (count == 0) count = 1;
    if (count > room) {
      add(b, TOO_BIGS, 1);
      return STOWAGE_TOO_BIG;
    }
    memcpy(output, input, count);
    if (sidecar) memset(sidecar, 7, 8);
  }
  *length = charged(b, LIE_CHARGES) ? (size_t)get(b, LIE_LENGTH) : count;
  return STOWAGE_OK;
}

static int32_t decode(stowage_instance *raw, stowage_context *raw_context, const stowage_object *object,
                      const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  (void)raw_context;
  instance *self = (instance *)raw;
  block *b = self->control;
  if (is_dead(self)) return STOWAGE_INVALID;
  add(b, DECODES, 1);
  if (get(b, DECODE_CODE) != 0 && charged(b, DECODE_CHARGES))
    return fail_as(b, DECODE_CODE, SILENT, "told to fail decoding");
  if (keeps_length()) {
    if (sidecar) {
      uint64_t hash = sum(input, input_length, object->id);
      if (memcmp(sidecar, &hash, 8) != 0) {
        say("the sidecar does not fit");
        return STOWAGE_AUTH;
      }
    }
    mask(self, input, output, object->length, object->id);
  } else {
    if (input_length > object->length) return STOWAGE_CORRUPT;
    memcpy(output, input, input_length);
    memset(output + input_length, 0, object->length - input_length);
  }
  if (charged(b, WRONG_CHARGES)) output[50] ^= 1;
  return STOWAGE_OK;
}

static int32_t thread_open(stowage_instance *raw, uint32_t use, stowage_context **result) {
  (void)use;
  instance *self = (instance *)raw;
  block *b = self->control;
  if (is_dead(self)) return STOWAGE_INVALID;
  if (get(b, CONTEXT_CODE) != 0 && charged(b, CONTEXT_CHARGES)) {
    say("told to fail opening a context");
    return (int32_t)get(b, CONTEXT_CODE);
  }
  context *made = calloc(1, sizeof *made);
  made->of = self;
  made->bytes = (size_t)get(b, CONTEXT_BYTES);
  if (made->bytes > 0) {
    made->scratch = host->memory_allocate(self->owner, made->bytes, 64, STOWAGE_MEMORY_PLAIN);
    if (!made->scratch) {
      free(made);
      return STOWAGE_RETRY;
    }
    memset(made->scratch, 1, made->bytes);
  }
  add(b, CONTEXTS, 1);
  *result = (stowage_context *)made;
  return STOWAGE_OK;
}

static void thread_close(stowage_instance *raw, stowage_context *raw_context) {
  instance *self = (instance *)raw;
  context *made = (context *)raw_context;
  if (is_dead(self)) return;
  if (made->scratch) host->memory_free(self->owner, made->scratch, made->bytes, STOWAGE_MEMORY_PLAIN);
  add(self->control, CONTEXTS, -1);
  free(made);
}

static int32_t health(stowage_instance *raw, stowage_health *health) {
  instance *self = (instance *)raw;
  if (is_dead(self)) return STOWAGE_INVALID;
  return tell_health(self->control, HEALTH_STATE, health);
}

static int32_t tier_open(const stowage_open *arguments, stowage_instance **result) {
  instance *self = calloc(1, sizeof *self);
  self->live = LIVE;
  self->owner = arguments->owner;
  self->control = find_block(arguments->instance_name);
  add(self->control, OPENS, 1);
  *result = (stowage_instance *)self;
  return STOWAGE_OK;
}

static void tier_close(stowage_instance *raw) {
  instance *self = (instance *)raw;
  if (is_dead(self)) return;
  self->live = 0;
  add(self->control, CLOSES, 1);
}

static stowage_transform transform = {
    .struct_size = sizeof(stowage_transform),
    .encode = encode,
    .decode = decode,
};

static stowage_tier tier = {
    FAULTY_TIER,
    .role = STOWAGE_ROLE_TRANSFORM,
    .lifetime = STOWAGE_LIFETIME_TRANSIENT,
    .priority = 100,
    .summary = "A transform that fails as it is told",
    .thread_open = thread_open,
    .thread_close = thread_close,
    .health = health,
    .transform = &transform,
};

__attribute__((visibility("default"))) const stowage_tier *stowage_tier_entry(const stowage_host *table) {
  host = table;
  if (has("pack") || has("cipher")) tier.access = STOWAGE_ACCESS_TRANSPARENT;
  if (keeps_length()) tier.flags_required |= STOWAGE_FLAG_LENGTH_PRESERVING;
  if (has("cipher")) {
    tier.flags_required |= STOWAGE_FLAG_MANDATORY;
    transform.sidecar_length = 16;
    tier.priority = 500;
  }
  if (has("sidecar")) transform.sidecar_length = 8;
  if (has("serial")) tier.thread_model = STOWAGE_THREADS_ONE_PER_INSTANCE;
  if (has("lossy")) tier.flags_required |= STOWAGE_FLAG_LOSSY;
  return &tier;
}
