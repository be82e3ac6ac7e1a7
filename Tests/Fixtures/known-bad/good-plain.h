// SPDX-License-Identifier: Apache-2.0
//
// A small transform that keeps to every rule, for the fixtures beside this file to break one: runs of a byte are
// shortened, and everything is xored with a byte that comes from the options. It has an option of each type, contexts
// and instances in memory of the host, and does without the host's optional functions.
//
// A fixture defines, before it includes this file, what is to be done differently; each is a run of statements:
//   PLAIN_AT_ENTRY    in stowage_tier_entry, before it returns; sees host, and plain_tier, which may be changed
//   PLAIN_AT_OPEN     in open, when the options have been read; sees arguments, self (not yet in the host's memory)
//   PLAIN_AT_OPENED   in open, before it answers OK; sees arguments, instance
//   PLAIN_AT_CLOSE    at the beginning of close; sees instance
//   PLAIN_AT_ENCODE   at the beginning of encode; sees all its arguments
// With PLAIN_NO_ENTRY the entry is the fixture's own.
#ifndef GOOD_PLAIN_H
#define GOOD_PLAIN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stowage/tier.h>

#ifndef PLAIN_AT_ENTRY
#define PLAIN_AT_ENTRY
#endif
#ifndef PLAIN_AT_OPEN
#define PLAIN_AT_OPEN
#endif
#ifndef PLAIN_AT_OPENED
#define PLAIN_AT_OPENED
#endif
#ifndef PLAIN_AT_CLOSE
#define PLAIN_AT_CLOSE
#endif
#ifndef PLAIN_AT_ENCODE
#define PLAIN_AT_ENCODE
#endif
#ifndef PLAIN_TABLE_KIND
#define PLAIN_TABLE_KIND STOWAGE_MEMORY_SECRET
#endif

enum { PLAIN_LEVEL, PLAIN_WINDOW, PLAIN_STRICT, PLAIN_LABEL, PLAIN_DICTIONARY, PLAIN_MODE, PLAIN_PASSPHRASE, PLAIN_OPTIONS };

static stowage_option plain_options[PLAIN_OPTIONS] = {
    {.key = "level", .help = "how hard to try, from 1 to 9", .type = STOWAGE_OPTION_NUMBER, .number_default = 3,
     .number_min = 1, .number_max = 9},
    {.key = "window", .help = "bytes to look back", .type = STOWAGE_OPTION_BYTES, .number_default = 65536,
     .number_min = 4096, .number_max = 1 << 20},
    {.key = "strict", .help = "check what is decoded", .type = STOWAGE_OPTION_FLAG, .number_default = 0},
    {.key = "label", .help = "any words", .type = STOWAGE_OPTION_TEXT, .text_default = "plain"},
    {.key = "dictionary", .help = "a file that need not be there", .type = STOWAGE_OPTION_PATH},
    {.key = "mode", .help = "how to go about it", .type = STOWAGE_OPTION_CHOICE, .text_default = "fast",
     .choices = (const char *const[]){"fast", "small", "even", 0}},
    {.key = "passphrase", .help = "what the byte comes from too", .type = STOWAGE_OPTION_TEXT,
     .flags = STOWAGE_OPTION_SECRET},
};

struct stowage_instance {
  uint64_t owner;
  uint32_t page_size;
  int64_t level, window, strict;
  int mode; /* -1: unknown */
  uint8_t key;
  uint8_t *table; /* 256 bytes of the host */
  uintptr_t spare; /* for fixtures */
};

struct stowage_context {
  uint32_t use;
  uint8_t scratch[1024];
};

/* As far as the host knows its table; the rest is null. */
static stowage_host plain_host;

static inline int32_t plain_fail(int32_t code, const char *text) {
  plain_host.set_error(text, strlen(text));
  return code;
}

/* The option's text; "" when there is none, or when the host is too old to know of the option. */
static inline const char *plain_text(const stowage_open *arguments, uint32_t index) {
  if (index >= arguments->option_count || !arguments->options[index].text) return "";
  return arguments->options[index].text;
}

static inline int64_t plain_number(const stowage_open *arguments, uint32_t index) {
  return index < arguments->option_count ? arguments->options[index].number : plain_options[index].number_default;
}

static inline int plain_mode(const char *text) {
  const char *const *choices = plain_options[PLAIN_MODE].choices;
  if (!*text) return 0;
  for (int at = 0; choices[at]; at++)
    if (strcmp(choices[at], text) == 0) return at;
  return -1;
}

static inline int plain_in_range(int64_t number, uint32_t index) {
  return number >= plain_options[index].number_min && number <= plain_options[index].number_max;
}

static inline int32_t plain_open(const stowage_open *arguments, stowage_instance **place) {
  stowage_instance self = {.owner = arguments->owner, .page_size = arguments->page_size};
  self.level = plain_number(arguments, PLAIN_LEVEL);
  self.window = plain_number(arguments, PLAIN_WINDOW);
  self.strict = plain_number(arguments, PLAIN_STRICT);
  self.mode = plain_mode(plain_text(arguments, PLAIN_MODE));
  self.key = (uint8_t)(self.level * 16 + self.mode);
  for (const char *at = plain_text(arguments, PLAIN_PASSPHRASE); *at; at++) self.key = (uint8_t)(self.key * 31 + *at);
  PLAIN_AT_OPEN
  if (!plain_in_range(self.level, PLAIN_LEVEL)) return plain_fail(STOWAGE_INVALID, "level is out of range");
  if (!plain_in_range(self.window, PLAIN_WINDOW)) return plain_fail(STOWAGE_INVALID, "window is out of range");
  if (self.mode < 0) return plain_fail(STOWAGE_INVALID, "mode is none of fast, small, even");
  stowage_instance *instance =
      plain_host.memory_allocate(self.owner, sizeof *instance, 16, STOWAGE_MEMORY_PLAIN);
  if (!instance) return plain_fail(STOWAGE_RETRY, "no memory for the instance");
  self.table = plain_host.memory_allocate(self.owner, 256, 64, PLAIN_TABLE_KIND);
  if (!self.table) {
    plain_host.memory_free(self.owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
    return plain_fail(STOWAGE_RETRY, "no memory for the table");
  }
  for (int at = 0; at < 256; at++) self.table[at] = (uint8_t)(at ^ self.key);
  *instance = self;
  PLAIN_AT_OPENED
  *place = instance;
  return STOWAGE_OK;
}

static inline void plain_close(stowage_instance *instance) {
  PLAIN_AT_CLOSE
  plain_host.memory_free(instance->owner, instance->table, 256, STOWAGE_MEMORY_SECRET);
  plain_host.memory_free(instance->owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
}

static inline int32_t plain_thread_open(stowage_instance *instance, uint32_t use, stowage_context **place) {
  stowage_context *context =
      plain_host.memory_allocate(instance->owner, sizeof *context, 64, STOWAGE_MEMORY_PLAIN);
  if (!context) return plain_fail(STOWAGE_RETRY, "no memory for the context");
  context->use = use;
  *place = context;
  return STOWAGE_OK;
}

static inline void plain_thread_close(stowage_instance *instance, stowage_context *context) {
  plain_host.memory_free(instance->owner, context, sizeof *context, STOWAGE_MEMORY_PLAIN);
}

/* Pairs of a count and a byte, behind a 1; 0 when that is not shorter than the input or than the room. */
static inline size_t plain_runs(const stowage_instance *instance, const uint8_t *input, size_t length, uint8_t *output,
                                size_t room) {
  size_t out = 1;
  for (size_t at = 0; at < length;) {
    size_t count = 1;
    while (count < 255 && at + count < length && input[at + count] == input[at]) count++;
    if (out + 2 > room || out + 2 > length) return 0;
    output[out++] = (uint8_t)count;
    output[out++] = instance->table[input[at]];
    at += count;
  }
  if (room < 1) return 0;
  output[0] = 1;
  return length > 0 ? out : 0;
}

static inline int32_t plain_encode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                                   const uint8_t *input, uint8_t *output, size_t output_room, size_t *output_length,
                                   uint8_t *sidecar) {
  (void)context, (void)sidecar;
  PLAIN_AT_ENCODE
  size_t length = object->length;
  size_t runs = plain_runs(instance, input, length, output, output_room);
  if (runs) {
    *output_length = runs;
    return STOWAGE_OK;
  }
  if (length + 1 > output_room) return STOWAGE_TOO_BIG;
  output[0] = 0;
  for (size_t at = 0; at < length; at++) output[at + 1] = instance->table[input[at]];
  *output_length = length + 1;
  return STOWAGE_OK;
}

static inline int32_t plain_decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                                   const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  (void)context, (void)sidecar;
  size_t length = object->length;
  if (input_length < 1 || input[0] > 1) return plain_fail(STOWAGE_CORRUPT, "no such kind of encoding");
  if (input[0] == 0) {
    if (input_length != length + 1) return plain_fail(STOWAGE_CORRUPT, "another length than the object's");
    for (size_t at = 0; at < length; at++) output[at] = input[at + 1] ^ instance->key;
    return STOWAGE_OK;
  }
  size_t out = 0;
  for (size_t at = 1; at + 1 < input_length; at += 2) {
    if (input[at] == 0 || input[at] > length - out) return plain_fail(STOWAGE_CORRUPT, "a run is too long");
    memset(output + out, input[at + 1] ^ instance->key, input[at]);
    out += input[at];
  }
  if (out != length || input_length % 2 == 0) return plain_fail(STOWAGE_CORRUPT, "another length than the object's");
  return STOWAGE_OK;
}

static const void *plain_get_extension(const char *id) {
  (void)id;
  return 0;
}

static stowage_transform plain_transform = {
    .struct_size = sizeof(stowage_transform), .encode = plain_encode, .decode = plain_decode};

static stowage_tier plain_tier = {.magic = STOWAGE_TIER_MAGIC,
                                  .struct_size = sizeof(stowage_tier),
                                  .abi_major = STOWAGE_ABI_MAJOR,
                                  .abi_minor = STOWAGE_ABI_MINOR,
                                  .minor_required = STOWAGE_ABI_MINOR,
                                  .role = STOWAGE_ROLE_TRANSFORM,
                                  .lifetime = STOWAGE_LIFETIME_TRANSIENT,
                                  .access = STOWAGE_ACCESS_TERMINAL,
                                  .priority = 500,
                                  .thread_model = STOWAGE_THREADS_PARALLEL,
                                  .flags_optional = STOWAGE_FLAG_DETERMINISTIC,
                                  .name = FIXTURE_NAME,
                                  .version = "1.2.3",
                                  .summary = "Shortens runs of a byte",
                                  .vendor = "Test",
                                  .licence = "Apache-2.0",
                                  .url = "https://example.org/tier",
                                  .options = plain_options,
                                  .option_count = PLAIN_OPTIONS,
                                  .option_size = sizeof(stowage_option),
                                  .open = plain_open,
                                  .close = plain_close,
                                  .thread_open = plain_thread_open,
                                  .thread_close = plain_thread_close,
                                  .transform = &plain_transform,
                                  .get_extension = plain_get_extension};

/* Nothing is believed but the first four fields, until they say that the rest is known. */
static inline const stowage_tier *plain_entry(const stowage_host *host) {
  if (host->magic != STOWAGE_HOST_MAGIC || host->struct_size < offsetof(stowage_host, get_extension)) return 0;
  memcpy(&plain_host, host, host->struct_size < sizeof plain_host ? host->struct_size : sizeof plain_host);
  if (host->abi_major != STOWAGE_ABI_MAJOR || host->abi_minor < STOWAGE_ABI_MINOR) {
    static const char text[] = "built against another version of the interface";
    plain_host.set_error(text, sizeof text - 1);
    return 0;
  }
  PLAIN_AT_ENTRY
  return &plain_tier;
}

#ifndef PLAIN_NO_ENTRY
const stowage_tier *stowage_tier_entry(const stowage_host *host) { return plain_entry(host); }
#endif

#endif
