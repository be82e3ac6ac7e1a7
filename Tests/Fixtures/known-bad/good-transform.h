// SPDX-License-Identifier: Apache-2.0
//
// A transform that keeps every rule, for the fixtures beside this file to break one of. FIXTURE_NAME comes from the
// build; a fixture may define, before it includes this file:
//
//   SIDECAR   the checksum goes into a sidecar of 16 bytes instead of the output
//   CIPHER    a mandatory one: no compression, a key of the instance's own, a sidecar (no cryptography: a keystream)
//   STATE     a key of the instance's own that state_save keeps
//   LOSSY     one byte of each page comes back changed, and the tier says that this may be
//   THREADS, NO_INTEGRITY, NO_CONTEXTS
//
// An encoding is a checksum of 8 bytes and runs: a control byte n < 128 stands before n + 1 bytes as they are, n >= 128
// before one byte that is repeated n - 125 times; every byte of the runs is exclusive-or'ed with MASK.
#ifndef GOOD_TRANSFORM_H
#define GOOD_TRANSFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <stowage/tier.h>

#ifndef THREADS
#define THREADS STOWAGE_THREADS_PARALLEL
#endif
#ifdef CIPHER
#define SIDECAR
#endif
#ifdef SIDECAR
enum { SIDECAR_LENGTH = 16, HEAD = 0 };
#else
enum { SIDECAR_LENGTH = 0, HEAD = 8 };
#endif
enum { MASK = 0x5A };

#define FIXTURE(...)                                                      \
  const stowage_tier *stowage_tier_entry(const stowage_host *host) {      \
    good_host = host;                                                     \
    __VA_ARGS__;                                                          \
    return &good_tier;                                                    \
  }

#define ENCODE_PARAMETERS                                                                                          \
  stowage_instance *instance, stowage_context *context, const stowage_object *object, const uint8_t *input,        \
      uint8_t *output, size_t room, size_t *length, uint8_t *sidecar
#define ENCODE_ARGUMENTS instance, context, object, input, output, room, length, sidecar
#define DECODE_PARAMETERS                                                                                          \
  stowage_instance *instance, stowage_context *context, const stowage_object *object, const uint8_t *input,        \
      size_t input_length, uint8_t *output, const uint8_t *sidecar
#define DECODE_ARGUMENTS instance, context, object, input, input_length, output, sidecar

// `notes` and `place` are for fixtures.
struct stowage_instance {
  uint64_t owner, key;
  uint32_t page_size;
  uint64_t notes[4];
  void *place;
};

struct stowage_context {
  uint64_t owner;
  size_t size;
  uint32_t use;
  uint64_t notes[4];
  uint8_t *scratch;  // two pages
};

static const stowage_host *good_host;

static inline int32_t good_say(int32_t code, const char *text) {
  good_host->set_error(text, strlen(text));
  return code;
}

// ---- Life

static inline int32_t good_open(const stowage_open *arguments, stowage_instance **result) {
  uint32_t size = arguments->page_size;
  if (size < STOWAGE_PAGE_BYTES_MIN || size > STOWAGE_PAGE_BYTES_MAX || (size & (size - 1)) != 0)
    return good_say(STOWAGE_INVALID, "the page size is no power of two from 4096 to 65536");
  stowage_instance *instance =
      good_host->memory_allocate(arguments->owner, sizeof *instance, 16, STOWAGE_MEMORY_SECRET);
  if (!instance) return good_say(STOWAGE_RETRY, "no memory for an instance");
  instance->owner = arguments->owner;
  instance->page_size = size;
#if defined(CIPHER) || defined(STATE)
  if (good_host->random_fill(&instance->key, sizeof instance->key) != STOWAGE_OK) {
    good_host->memory_free(arguments->owner, instance, sizeof *instance, STOWAGE_MEMORY_SECRET);
    return good_say(STOWAGE_IO, "no random bytes for a key");
  }
#endif
  *result = instance;
  return STOWAGE_OK;
}

static inline void good_close(stowage_instance *instance) {
  uint64_t owner = instance->owner;
  good_host->wipe(instance, sizeof *instance);
  good_host->memory_free(owner, instance, sizeof *instance, STOWAGE_MEMORY_SECRET);
}

static inline int32_t good_thread_open(stowage_instance *instance, uint32_t use, stowage_context **result) {
  size_t size = sizeof(stowage_context) + 2 * (size_t)instance->page_size;
  stowage_context *context = good_host->memory_allocate(instance->owner, size, 16, STOWAGE_MEMORY_SECRET);
  if (!context) return good_say(STOWAGE_RETRY, "no memory for a context");
  context->owner = instance->owner;
  context->size = size;
  context->use = use;
  context->scratch = (uint8_t *)(context + 1);
  *result = context;
  return STOWAGE_OK;
}

static inline void good_thread_close(stowage_instance *instance, stowage_context *context) {
  (void)instance;
  good_host->memory_free(context->owner, context, context->size, STOWAGE_MEMORY_SECRET);
}

#ifdef STATE
static inline int32_t good_state_save(stowage_instance *instance, uint8_t *state, size_t room, size_t *length) {
  *length = sizeof instance->key;
  if (room < sizeof instance->key) return STOWAGE_TOO_BIG;
  memcpy(state, &instance->key, sizeof instance->key);
  return STOWAGE_OK;
}

static inline int32_t good_state_load(stowage_instance *instance, const uint8_t *state, size_t length) {
  if (length != sizeof instance->key) return good_say(STOWAGE_CORRUPT, "this is no state of this tier");
  memcpy(&instance->key, state, length);
  return STOWAGE_OK;
}
#endif

// ---- Bytes

static inline uint64_t good_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

// FNV-1a over a key, the object and the bytes: no change of a single byte is missed.
static inline uint64_t good_sum(uint64_t key, const stowage_object *object, const uint8_t *bytes, size_t length) {
  uint64_t sum = good_mix(key ^ UINT64_C(0x9E3779B97F4A7C15));
  const uint64_t words[3] = {object->id, object->epoch, object->length};
  for (size_t i = 0; i < sizeof words; i++) sum = (sum ^ ((const uint8_t *)words)[i]) * UINT64_C(0x100000001B3);
  for (size_t i = 0; i < length; i++) sum = (sum ^ bytes[i]) * UINT64_C(0x100000001B3);
  return sum;
}

static inline void good_put_sum(uint64_t sum, uint8_t *output, uint8_t *sidecar) {
#ifdef SIDECAR
  const uint64_t words[2] = {sum, good_mix(sum)};
  memcpy(sidecar, words, sizeof words);
  (void)output;
#else
  memcpy(output, &sum, sizeof sum);
  (void)sidecar;
#endif
}

static inline int good_is_sum(uint64_t sum, const uint8_t *input, const uint8_t *sidecar) {
#ifdef SIDECAR
  const uint64_t words[2] = {sum, good_mix(sum)};
  (void)input;
  return memcmp(sidecar, words, sizeof words) == 0;
#else
  (void)sidecar;
  return memcmp(input, &sum, sizeof sum) == 0;
#endif
}

// The keystream of a cipher: there and back.
static inline void good_cipher(uint64_t key, const stowage_object *object, const uint8_t *input, uint8_t *output) {
  uint64_t seed = good_mix(key ^ good_mix(object->id ^ ((uint64_t)object->epoch << 32)));
  for (uint32_t i = 0; i < object->length; i++) {
    uint64_t word = good_mix(seed + (i / 8 + 1) * UINT64_C(0x9E3779B97F4A7C15));
    output[i] = input[i] ^ (uint8_t)(word >> (i % 8 * 8));
  }
}

// Gives how many bytes there are, at most twice as many as the input has.
static inline size_t good_pack(const uint8_t *input, size_t length, uint8_t *output) {
  size_t at = 0, out = 0;
  while (at < length) {
    size_t run = 1;
    while (run < 130 && at + run < length && input[at + run] == input[at]) run++;
    if (run >= 3) {
      output[out++] = (uint8_t)(run + 125) ^ MASK;
      output[out++] = input[at] ^ MASK;
      at += run;
      continue;
    }
    size_t first = at;
    while (at < length && at - first < 128 &&
           !(at + 2 < length && input[at] == input[at + 1] && input[at] == input[at + 2]))
      at++;
    output[out++] = (uint8_t)(at - first - 1) ^ MASK;
    for (size_t i = first; i < at; i++) output[out++] = input[i] ^ MASK;
  }
  return out;
}

// False unless the input makes exactly `length` bytes.
static inline int good_unpack(const uint8_t *input, size_t input_length, uint8_t *output, size_t length) {
  size_t at = 0, out = 0;
  while (at < input_length) {
    uint8_t control = input[at++] ^ MASK;
    size_t count = control < 128 ? control + 1u : control - 125u;
    if (count > length - out || (control < 128 ? count : 1) > input_length - at) return 0;
    for (size_t i = 0; i < count; i++) output[out++] = input[at + (control < 128 ? i : 0)] ^ MASK;
    at += control < 128 ? count : 1;
  }
  return out == length;
}

static inline int32_t good_encode(ENCODE_PARAMETERS) {
  if (context && !(context->use & STOWAGE_CONTEXT_ENCODE)) return good_say(STOWAGE_INVALID, "a context for decoding");
#ifdef CIPHER
  size_t packed = object->length;
  if (packed > room) return STOWAGE_TOO_BIG;
  good_cipher(instance->key, object, input, output);
#else
  uint8_t own[2 * STOWAGE_PAGE_BYTES_MAX];
  uint8_t *scratch = context ? context->scratch : own;
  size_t packed = good_pack(input, object->length, scratch);
  if (HEAD + packed > room) return STOWAGE_TOO_BIG;
  memcpy(output + HEAD, scratch, packed);
#endif
  good_put_sum(good_sum(instance->key, object, output + HEAD, packed), output, sidecar);
  *length = HEAD + packed;
  return STOWAGE_OK;
}

static inline int32_t good_damaged(void) { return good_say(STOWAGE_CORRUPT, "what is to be decoded is damaged"); }

static inline int32_t good_decode(DECODE_PARAMETERS) {
  if (context && !(context->use & STOWAGE_CONTEXT_DECODE)) return good_say(STOWAGE_INVALID, "a context for encoding");
  if ((long)input_length < HEAD) return good_damaged();
  const uint8_t *packed = input + HEAD;
  if (!good_is_sum(good_sum(instance->key, object, packed, input_length - HEAD), input, sidecar)) return good_damaged();
#ifdef CIPHER
  if (input_length != object->length) return good_damaged();
  good_cipher(instance->key, object, input, output);
  return STOWAGE_OK;
#else
  if (!good_unpack(packed, input_length - HEAD, output, object->length)) return good_damaged();
#ifdef LOSSY
  if (object->length > 0) output[0] ^= 1;
#endif
  return STOWAGE_OK;
#endif
}

static stowage_transform good_table = {.struct_size = sizeof(stowage_transform),
                                       .sidecar_length = SIDECAR_LENGTH,
                                       .encode = good_encode,
                                       .decode = good_decode};

static stowage_tier good_tier = {.magic = STOWAGE_TIER_MAGIC,
                                 .struct_size = sizeof(stowage_tier),
                                 .abi_major = STOWAGE_ABI_MAJOR,
                                 .abi_minor = STOWAGE_ABI_MINOR,
                                 .role = STOWAGE_ROLE_TRANSFORM,
                                 .lifetime = STOWAGE_LIFETIME_TRANSIENT,
                                 .thread_model = THREADS,
#ifdef CIPHER
                                 .access = STOWAGE_ACCESS_TRANSPARENT,
                                 .priority = 800,
                                 .flags_required = STOWAGE_FLAG_MANDATORY,
                                 .flags_optional = STOWAGE_FLAG_LENGTH_PRESERVING | STOWAGE_FLAG_DETERMINISTIC |
                                                   STOWAGE_FLAG_SWAP_SAFE | STOWAGE_FLAG_INTEGRITY,
#else
                                 .access = STOWAGE_ACCESS_TERMINAL,
                                 .priority = 150,
                                 .flags_optional = STOWAGE_FLAG_DETERMINISTIC | STOWAGE_FLAG_SWAP_SAFE
#ifndef NO_INTEGRITY
                                                   | STOWAGE_FLAG_INTEGRITY
#endif
#ifdef LOSSY
                                                   | STOWAGE_FLAG_LOSSY
#endif
                                 ,
#endif
                                 .name = FIXTURE_NAME,
                                 .version = "1.2.3",
                                 .summary = "A small transform for tests",
                                 .vendor = "Test",
                                 .licence = "Apache-2.0",
                                 .url = "https://example.org/tier",
                                 .option_size = sizeof(stowage_option),
                                 .open = good_open,
                                 .close = good_close,
#ifndef NO_CONTEXTS
                                 .thread_open = good_thread_open,
                                 .thread_close = good_thread_close,
#endif
#ifdef STATE
                                 .state_save = good_state_save,
                                 .state_load = good_state_load,
#endif
                                 .transform = &good_table};

#endif
