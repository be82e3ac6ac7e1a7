/* SPDX-License-Identifier: Apache-2.0
 *
 * stowage/tier-helpers.h - a tier in a few lines of C or C++. Optional: it holds nothing that cannot be written with
 * stowage/tier.h alone, and the host knows nothing of it. It makes no promise of its own about versions: copy it beside
 * your source.
 *
 * Include it in one file, the one that has the entry. A transform is
 *
 *   struct stowage_instance { STOWAGE_INSTANCE ... };
 *   static int32_t open(stowage_instance *self, const stowage_open *arguments);
 *   static void close(stowage_instance *self);
 *   static int32_t encode(stowage_instance *self, const stowage_encoding *job, size_t *length);
 *   static int32_t decode(stowage_instance *self, const stowage_decoding *job);
 *   STOWAGE_TRANSFORM(open, close, encode, decode) { stowage_introduce(tier, "name", "1.0.0", "A summary.", 150); }
 *
 * and a backing has capacity, read and write in place of the last two, see STOWAGE_BACKING. The memory of an instance
 * comes zeroed from the host before open, and goes back after close, or when open gives an error.
 */
#ifndef STOWAGE_TIER_HELPERS_H
#define STOWAGE_TIER_HELPERS_H

#include "tier.h"
#include <string.h>

/* What every struct stowage_instance begins with. */
#define STOWAGE_INSTANCE \
  uint64_t owner;        \
  uint32_t page_size;

/* One call of encode. Valid until the call returns. */
typedef struct stowage_encoding {
  const stowage_object *object;
  const uint8_t *input;
  size_t length; /* of the input */
  uint8_t *output;
  size_t room;      /* of the output; may be less than length */
  uint8_t *sidecar; /* null when the tier has none */
} stowage_encoding;

/* One call of decode. Valid until the call returns. */
typedef struct stowage_decoding {
  const stowage_object *object;
  const uint8_t *input; /* may be damaged */
  size_t input_length;
  uint8_t *output;
  size_t length;          /* exactly so many bytes are to be written */
  const uint8_t *sidecar; /* null when the tier has none */
} stowage_decoding;

/* The host's table, from the entry on. */
static const stowage_host *stowage_the_host;

/* Says why the call fails, and gives back the code to fail with. */
static inline int32_t stowage_fail(int32_t code, const char *why) {
  stowage_the_host->set_error(why, strlen(why));
  return code;
}

/* Encodes to the same bytes. */
static inline int32_t stowage_copy_encoding(const stowage_encoding *job, size_t *length) {
  if (job->room < job->length) return STOWAGE_TOO_BIG;
  if (job->length > 0) memcpy(job->output, job->input, job->length);
  *length = job->length;
  return STOWAGE_OK;
}

/* The way back. */
static inline int32_t stowage_copy_decoding(const stowage_decoding *job) {
  if (job->input_length != job->length) return stowage_fail(STOWAGE_CORRUPT, "the input has another length than the object");
  if (job->length > 0) memcpy(job->output, job->input, job->length);
  return STOWAGE_OK;
}

/* Zeroed memory of the host; null, with the reason told, when there is none left: then fail with STOWAGE_RETRY. */
static inline void *stowage_allocate(uint64_t owner, size_t size, size_t alignment, uint32_t kind) {
  void *memory = stowage_the_host->memory_allocate(owner, size, alignment, kind);
  if (memory == NULL) stowage_fail(STOWAGE_RETRY, "the host has no memory left for this tier");
  return memory;
}

/* Gives back what stowage_allocate gave. memory may be null. */
static inline void stowage_free(uint64_t owner, void *memory, size_t size, uint32_t kind) {
  stowage_the_host->memory_free(owner, memory, size, kind);
}

/* Whether a run of slots is all there: STOWAGE_OK, or STOWAGE_GONE with the reason told. */
static inline int32_t stowage_check_run(uint64_t slot, uint32_t slot_count, uint64_t slots_total) {
  if (slot < slots_total && slot_count <= slots_total - slot) return STOWAGE_OK;
  return stowage_fail(STOWAGE_GONE, "there is no such slot");
}

/* For tiers that have nothing to open or to close. */
static inline int32_t stowage_open_nothing(stowage_instance *self, const stowage_open *arguments) {
  (void)self, (void)arguments;
  return STOWAGE_OK;
}
static inline void stowage_close_nothing(stowage_instance *self) { (void)self; }

/* ---- Describing. The least first; what is left out is transient, terminal, one call at a time for each instance. -- */

static inline void stowage_introduce(stowage_tier *tier, const char *name, const char *version, const char *summary,
                                     uint32_t priority) {
  tier->name = name;
  tier->version = version;
  tier->summary = summary;
  tier->priority = priority;
}

/* access: STOWAGE_ACCESS_*; thread_model: STOWAGE_THREADS_*; flags: STOWAGE_FLAG_*, which a host may overlook. */
static inline void stowage_attributes(stowage_tier *tier, uint32_t access, uint32_t thread_model, uint64_t flags) {
  tier->access = access;
  tier->thread_model = thread_model;
  tier->flags_optional = flags;
}

/* Entries of a table of options. */
#define STOWAGE_NUMBER(key, help, fallback, least, most) \
  { key, help, STOWAGE_OPTION_NUMBER, 0, fallback, least, most, NULL, NULL }
#define STOWAGE_BYTES(key, help, fallback, least, most) \
  { key, help, STOWAGE_OPTION_BYTES, 0, fallback, least, most, NULL, NULL }

/* Gives the tier its table, an array of stowage_option. */
#define STOWAGE_OPTIONS(tier, table)                                      \
  ((tier)->options = (table), (tier)->option_size = sizeof (table)[0],    \
   (tier)->option_count = (uint32_t)(sizeof(table) / sizeof (table)[0]))

/* ---- Between the host's calls and the tier's functions --------------------------------------------------- */

typedef int32_t (*stowage_opening)(stowage_instance *self, const stowage_open *arguments);

static inline int32_t stowage_open_sized(const stowage_open *arguments, stowage_instance **instance, size_t size,
                                         stowage_opening open) {
  uint64_t owner = arguments->owner;
  stowage_instance *made = (stowage_instance *)stowage_allocate(owner, size, 64, STOWAGE_MEMORY_SECRET);
  if (made == NULL) return STOWAGE_RETRY;
  struct stowage_base { STOWAGE_INSTANCE } base = {owner, arguments->page_size};
  memcpy((void *)made, &base, sizeof base.owner + sizeof base.page_size);
  int32_t result = open(made, arguments);
  if (result != STOWAGE_OK) {
    stowage_free(owner, (void *)made, size, STOWAGE_MEMORY_SECRET);
    return result;
  }
  *instance = made;
  return STOWAGE_OK;
}

/* Everything before get_extension is in every version of the host's table. */
static inline int stowage_accept(const stowage_host *host) {
  if (host->magic != STOWAGE_HOST_MAGIC || host->struct_size < offsetof(stowage_host, get_extension)) return 0;
  stowage_the_host = host;
  return 1;
}

static inline void stowage_begin(stowage_tier *tier, uint32_t role) {
  tier->magic = STOWAGE_TIER_MAGIC;
  tier->struct_size = sizeof *tier;
  tier->abi_major = STOWAGE_ABI_MAJOR;
  tier->abi_minor = STOWAGE_ABI_MINOR;
  tier->minor_required = STOWAGE_ABI_MINOR;
  tier->role = role;
  tier->lifetime = STOWAGE_LIFETIME_TRANSIENT;
  stowage_attributes(tier, STOWAGE_ACCESS_TERMINAL, STOWAGE_THREADS_ONE_PER_INSTANCE, 0);
}

#define STOWAGE_OPEN_AND_CLOSE(open_function, close_function)                                           \
  static int32_t stowage_do_open(const stowage_open *arguments, stowage_instance **instance) {          \
    return stowage_open_sized(arguments, instance, sizeof(struct stowage_instance), open_function);     \
  }                                                                                                     \
  static void stowage_do_close(stowage_instance *instance) {                                            \
    uint64_t owner = instance->owner;                                                                   \
    close_function(instance);                                                                           \
    stowage_free(owner, (void *)instance, sizeof(struct stowage_instance), STOWAGE_MEMORY_SECRET);      \
  }

/* The entry. table_type and field: of the role's table. The body of stowage_describe follows the macro. */
#define STOWAGE_ENTRY(its_role, table_type, field)                           \
  static void stowage_describe(stowage_tier *tier, table_type *field);       \
  const stowage_tier *stowage_tier_entry(const stowage_host *host) {         \
    static stowage_tier tier;                                                \
    if (!stowage_accept(host)) return NULL;                                  \
    stowage_begin(&tier, its_role);                                          \
    tier.open = stowage_do_open;                                             \
    tier.close = stowage_do_close;                                           \
    tier.field = &stowage_the_table;                                         \
    stowage_describe(&tier, &stowage_the_table);                             \
    return &tier;                                                            \
  }                                                                          \
  static void stowage_describe(stowage_tier *tier, table_type *field)

/* A transform. What follows in braces describes it: `tier` and `transform` are the two tables, filled in already with
 * what the macro knows. */
#define STOWAGE_TRANSFORM(open_function, close_function, encode_function, decode_function)                              \
  STOWAGE_OPEN_AND_CLOSE(open_function, close_function)                                                                 \
  static int32_t stowage_do_encode(stowage_instance *instance, stowage_context *context, const stowage_object *object,  \
                                   const uint8_t *input, uint8_t *output, size_t room, size_t *length,                  \
                                   uint8_t *sidecar) {                                                                  \
    const stowage_encoding job = {object, input, object->length, output, room, sidecar};                                \
    (void)context;                                                                                                      \
    return encode_function(instance, &job, length);                                                                     \
  }                                                                                                                     \
  static int32_t stowage_do_decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,  \
                                   const uint8_t *input, size_t input_length, uint8_t *output,                          \
                                   const uint8_t *sidecar) {                                                            \
    const stowage_decoding job = {object, input, input_length, output, object->length, sidecar};                        \
    (void)context;                                                                                                      \
    return decode_function(instance, &job);                                                                             \
  }                                                                                                                     \
  static stowage_transform stowage_the_table = {sizeof(stowage_transform), 0, stowage_do_encode, stowage_do_decode};    \
  STOWAGE_ENTRY(STOWAGE_ROLE_TRANSFORM, stowage_transform, transform)

/* A backing, from functions with the types that stowage_backing has. What follows in braces describes it: `tier` and
 * `backing` are the two tables; put optional functions into `backing`. */
#define STOWAGE_BACKING(open_function, close_function, capacity_function, read_function, write_function)             \
  STOWAGE_OPEN_AND_CLOSE(open_function, close_function)                                                              \
  static stowage_backing stowage_the_table = {sizeof(stowage_backing), 0, capacity_function, read_function,          \
                                              write_function, NULL, NULL, NULL, NULL, NULL, NULL};                   \
  STOWAGE_ENTRY(STOWAGE_ROLE_BACKING, stowage_backing, backing)

#endif /* STOWAGE_TIER_HELPERS_H */
