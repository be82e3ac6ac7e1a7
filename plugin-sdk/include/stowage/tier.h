/* SPDX-License-Identifier: Apache-2.0
 *
 * stowage/tier.h - the binary interface between Stowage (the host) and a tier (a plug-in).
 *
 * DRAFT 0.9, proposed as 1.0. Until 1.0 a tier must be rebuilt for each new draft; from 1.0 on, a tier
 * built against 1.x loads in every later 1.y host.
 *
 * A tier is one shared library named NAME.tier.so that exports one symbol, stowage_tier_entry. The host
 * calls it once, passing its own table, and gets back a constant descriptor: what the tier is, which
 * options it takes, and its functions. The tier links nothing of the host.
 *
 *   life of a tier             who calls                       thread
 *   ------------------------   -----------------------------   ---------------------------------------
 *   stowage_tier_entry         the host, once per process      any, nothing else of this tier running
 *   open                       once per instance               any, one call at a time per tier
 *   state_load                 at most once, after open        the opening thread
 *   thread_open                once per working context        any
 *   encode/decode/read/...     as the thread model allows      the one that owns the context in this call
 *   state_save, health, ...    now and then                    any, as the thread model allows
 *   get_extension              at any time after the entry     any, also side by side with other calls
 *   thread_close               once per thread_open            any, the context is idle
 *   close                      once per open                   any, no call and no context is left
 *
 * Rules that hold for every call, unless its own comment says otherwise:
 *   - Pointers passed in are borrowed: valid until the call returns. Input buffers are read-only and may
 *     be mapped so. Buffers given to one call never overlap. Neither side frees the other's memory.
 *   - Pointers are never null unless marked "may be null".
 *   - Strings are UTF-8, end in a NUL, and hold no control characters.
 *   - Functions return STOWAGE_OK or one of the negative codes below; an unknown code is read as
 *     STOWAGE_IO. Before returning an error a tier should tell why with host->set_error.
 *   - No function may unwind (C++ or Swift errors), longjmp, exit, abort, fork or exec.
 *   - Sizes are in bytes and times in nanoseconds, unless the name says otherwise.
 *   - What a tier does not offer (a null function, an answer STOWAGE_UNSUPPORTED, an extension that it does
 *     not know) the host does in another way, or refuses. It is never passed on to the tier below: above a
 *     cipher, that would be the plaintext.
 *   - Structures grow only at their end. struct_size is what the side that filled it in knew; the reader
 *     copies the smaller of the two sizes and takes the rest as zero. Reserved fields are zero.
 */
#ifndef STOWAGE_TIER_H
#define STOWAGE_TIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__)
#define STOWAGE_NONNULL _Nonnull
#define STOWAGE_NULLABLE _Nullable
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#define STOWAGE_POP_DIAGNOSTICS
#else
#define STOWAGE_NONNULL
#define STOWAGE_NULLABLE
#endif

/* The version of this header. A host refuses a tier of another major version, and a tier whose
 * minor_required is higher than the host's minor version. */
#define STOWAGE_ABI_MAJOR 0u
#define STOWAGE_ABI_MINOR 9u

/* First field of the tables: "STWHOST1" and "STWTIER1", read as little-endian numbers. */
#define STOWAGE_HOST_MAGIC UINT64_C(0x3154534F48575453)
#define STOWAGE_TIER_MAGIC UINT64_C(0x3152454954575453)

/* The exported symbol, for dlsym. */
#define STOWAGE_TIER_ENTRY_NAME "stowage_tier_entry"

/* ---- Errors -------------------------------------------------------------------------------------- */

#define STOWAGE_OK 0
/* Cannot now, may later (peer gone, queue full). The host keeps the page where it is and tries again. */
#define STOWAGE_RETRY (-1)
/* No room (disk full, quota). The host stops storing here until room is reported or time has passed. */
#define STOWAGE_FULL (-2)
/* The output did not fit into the room given. For encode this is an ordinary answer, no failure. */
#define STOWAGE_TOO_BIG (-3)
/* The bytes given to decode, or read from storage, are damaged. */
#define STOWAGE_CORRUPT (-4)
/* Authentication failed: other key, other object, or tampering. */
#define STOWAGE_AUTH (-5)
/* What the call names is not there any more (a slot past a shortened end, a root that has changed). */
#define STOWAGE_GONE (-6)
/* An argument makes no sense: the host has a bug, or an option's value is bad. */
#define STOWAGE_INVALID (-7)
/* The tier does not do this. The host then does without, or refuses; it never passes the call on. */
#define STOWAGE_UNSUPPORTED (-8)
/* Input or output failed for another reason. Unknown codes count as this one. */
#define STOWAGE_IO (-9)

/* ---- What a tier says of itself ------------------------------------------------------------------- */

/* role */
#define STOWAGE_ROLE_TRANSFORM 1u /* bytes into bytes: compression, encryption. Holds nothing itself. */
#define STOWAGE_ROLE_BACKING 2u   /* an array of slots, each one page long, addressed by number. */

/* lifetime */
#define STOWAGE_LIFETIME_TRANSIENT 1u  /* contents die with the power or the process. */
#define STOWAGE_LIFETIME_PERSISTENT 2u /* contents survive both. Backings only. */

/* access */
#define STOWAGE_ACCESS_TERMINAL 1u    /* contents are decoded (read back) before they go further down. */
#define STOWAGE_ACCESS_TRANSPARENT 2u /* contents go further down as they are. */

/* thread_model: what the tier can stand. The host may serialise more than is asked, never less. */
#define STOWAGE_THREADS_ONE_FOR_ALL 1u      /* one call at a time, over all instances of the tier. */
#define STOWAGE_THREADS_ONE_PER_INSTANCE 2u /* one call at a time for each instance. */
#define STOWAGE_THREADS_PARALLEL 3u         /* calls run side by side, each with its own context. */

/* flags. A bit that the host does not know in flags_required makes it refuse the tier; in
 * flags_optional it is ignored. Each bit below may stand in either word. */
#define STOWAGE_FLAG_MANDATORY (UINT64_C(1) << 0)         /* never skipped, passed over or drained: a cipher. */
#define STOWAGE_FLAG_LOSSY (UINT64_C(1) << 1)             /* may give back other bytes, or none. */
#define STOWAGE_FLAG_SWAP_SAFE (UINT64_C(1) << 2)         /* allocates no memory in data calls. */
#define STOWAGE_FLAG_LENGTH_PRESERVING (UINT64_C(1) << 3) /* encode gives exactly as many bytes as it got. */
#define STOWAGE_FLAG_INTEGRITY (UINT64_C(1) << 4)         /* decode finds every change of its input. */
#define STOWAGE_FLAG_DETERMINISTIC (UINT64_C(1) << 5)     /* same object, same input: same output. */

/* Limits that the host enforces. */
#define STOWAGE_SIDECAR_BYTES_MAX 32u     /* sidecar_length of a transform */
#define STOWAGE_ROOT_BYTES_MAX 4096u      /* a backing's root */
#define STOWAGE_MESSAGE_BYTES_MAX 512u    /* longer messages to set_error and log are cut */
#define STOWAGE_PAGE_BYTES_MIN 4096u      /* page sizes are powers of two from here ... */
#define STOWAGE_PAGE_BYTES_MAX 65536u     /* ... to here */
#define STOWAGE_PRIORITY_MAX 999u         /* 0 is nearest to RAM */

/* ---- Opaque, the tier's own ----------------------------------------------------------------------- */

/* One opened tier. Two instances of one tier share no options, keys or data. */
typedef struct stowage_instance stowage_instance;

/* One working context of an instance: scratch memory, codec state. Used by one call at a time, not
 * always from the same thread. */
typedef struct stowage_context stowage_context;

/* ---- The host's table ----------------------------------------------------------------------------- */

/* Kinds of memory for memory_allocate. Both are zeroed and counted against the instance's owner. */
#define STOWAGE_MEMORY_PLAIN 1u
/* For keys and plaintext: kept out of core dumps, locked in RAM where the system lets it, wiped when freed. */
#define STOWAGE_MEMORY_SECRET 2u

/* Levels for log. */
#define STOWAGE_LOG_ERROR 1u
#define STOWAGE_LOG_WARNING 2u
#define STOWAGE_LOG_INFO 3u
#define STOWAGE_LOG_DEBUG 4u

/* Lives as long as the process. Every function may be called from any thread, at any time after
 * stowage_tier_entry was entered. Functions beyond the host's struct_size are absent; those marked
 * optional may be null in any version. */
typedef struct stowage_host {
  uint64_t magic;       /* STOWAGE_HOST_MAGIC */
  uint32_t struct_size; /* sizeof(stowage_host), as the host knew it */
  uint16_t abi_major;   /* STOWAGE_ABI_MAJOR of the host */
  uint16_t abi_minor;   /* STOWAGE_ABI_MINOR of the host */

  const char *STOWAGE_NONNULL host_name;    /* "stowage"; for messages only. Lives for ever. */
  const char *STOWAGE_NONNULL host_version; /* Lives for ever. */

  /* Says why the call now running on this thread is about to fail. The text (length bytes, no NUL
   * needed) is copied and cut to STOWAGE_MESSAGE_BYTES_MAX. Never put keys or page contents into it. */
  void (*STOWAGE_NONNULL set_error)(const char *STOWAGE_NONNULL text, size_t length);

  /* Optional. Writes a line to the host's log. owner as given to open, or 0. */
  void (*STOWAGE_NULLABLE log)(uint64_t owner, uint32_t level, const char *STOWAGE_NONNULL text, size_t length);

  /* Zeroed memory, counted against owner (from stowage_open). alignment: a power of two up to 4096.
   * Null when the limit is reached: then fail with STOWAGE_RETRY. Not on the data path of a
   * tier that claims STOWAGE_FLAG_SWAP_SAFE. */
  void *STOWAGE_NULLABLE (*STOWAGE_NONNULL memory_allocate)(uint64_t owner, size_t size, size_t alignment,
                                                            uint32_t kind);

  /* Frees what memory_allocate gave, with the same owner, size and kind. memory may be null. */
  void (*STOWAGE_NONNULL memory_free)(uint64_t owner, void *STOWAGE_NULLABLE memory, size_t size, uint32_t kind);

  /* Fills with random bytes fit for keys. STOWAGE_OK or STOWAGE_IO. */
  int32_t (*STOWAGE_NONNULL random_fill)(void *STOWAGE_NONNULL bytes, size_t size);

  /* Monotonic time. Deadlines are given on this clock. */
  uint64_t (*STOWAGE_NONNULL now_ns)(void);

  /* Overwrites with zeros in a way that a compiler does not remove. */
  void (*STOWAGE_NONNULL wipe)(void *STOWAGE_NONNULL bytes, size_t size);

  /* Optional. An extension of the host by its id, "name/revision" (see stowage/extensions.h); null when it
   * has none of that id. What is returned is constant and lives for ever. */
  const void *STOWAGE_NULLABLE (*STOWAGE_NULLABLE get_extension)(const char *STOWAGE_NONNULL id);
} stowage_host;

/* ---- Options -------------------------------------------------------------------------------------- */

/* type */
#define STOWAGE_OPTION_FLAG 1u   /* number: 0 or 1 */
#define STOWAGE_OPTION_NUMBER 2u /* number, from number_min to number_max */
#define STOWAGE_OPTION_BYTES 3u  /* number: a size in bytes; people may write 64M, 1GiB */
#define STOWAGE_OPTION_TEXT 4u   /* text */
#define STOWAGE_OPTION_PATH 5u   /* text: a file name; the host makes it absolute */
#define STOWAGE_OPTION_CHOICE 6u /* text: one of choices */

/* option flags */
#define STOWAGE_OPTION_REQUIRED 1u /* open is never called without it */
#define STOWAGE_OPTION_SECRET 2u   /* never printed or logged; valid during open only, then wiped */

/* One option that the tier takes. The host parses, checks and documents it; the tier never sees a key
 * that is not in its table. Constant, lives for ever. */
typedef struct stowage_option {
  const char *STOWAGE_NONNULL key;  /* lower-case letters, digits and '-', unique in the table */
  const char *STOWAGE_NONNULL help; /* one line for people, with the unit */
  uint32_t type;                    /* STOWAGE_OPTION_* */
  uint32_t flags;                   /* STOWAGE_OPTION_REQUIRED, STOWAGE_OPTION_SECRET */
  int64_t number_default;           /* FLAG, NUMBER, BYTES: unless required */
  int64_t number_min;               /* NUMBER, BYTES: both bounds are inclusive */
  int64_t number_max;
  const char *STOWAGE_NULLABLE text_default; /* TEXT, PATH, CHOICE; null: no default */
  /* CHOICE: an array that ends in a null pointer; otherwise null. */
  const char *STOWAGE_NULLABLE const *STOWAGE_NULLABLE choices;
} stowage_option;

/* The value of the option at the same place in the tier's table: given, or the default. */
typedef struct stowage_option_value {
  const char *STOWAGE_NULLABLE text; /* TEXT, PATH, CHOICE: NUL-terminated, valid during open; null: not given */
  uint64_t text_length;              /* without the NUL */
  int64_t number;                    /* FLAG, NUMBER, BYTES */
  uint32_t given;                    /* 1: by the user, 0: the default */
  uint32_t reserved;
} stowage_option_value;

/* What open gets. Valid during the call. */
typedef struct stowage_open {
  uint32_t struct_size;  /* sizeof(stowage_open), as the host knew it */
  uint32_t page_size;    /* bytes in a page, and in a slot of a backing */
  uint64_t owner;        /* hand this to the host's memory and log functions */
  uint32_t epoch;        /* of the objects that this instance will encode */
  uint32_t option_count; /* as many as the tier's table has */
  const stowage_option_value *STOWAGE_NULLABLE options; /* null when option_count is 0 */
  const char *STOWAGE_NONNULL instance_name; /* unique in the chain, such as "zstd" or "zstd-2" */
} stowage_open;

/* ---- Data ----------------------------------------------------------------------------------------- */

/* object flags */
#define STOWAGE_OBJECT_FRAME 1u       /* a full page of packed chunks; otherwise one page, or one chunk */
#define STOWAGE_OBJECT_DISCARDABLE 2u /* may be dropped; otherwise persistent */
#define STOWAGE_OBJECT_METADATA 4u    /* the host's own (an index, saved state), no page of a user */

/* What is encoded, decoded, read or written. The same id is never used for two objects of one store,
 * nor for two encodings of one page: a cipher may take it as its nonce. */
typedef struct stowage_object {
  uint64_t id;
  uint32_t epoch;  /* of the instance that encoded it, or will */
  uint32_t length; /* bytes before encoding */
  uint32_t flags;  /* STOWAGE_OBJECT_* */
  uint32_t reserved;
} stowage_object;

/* ---- Transforms ----------------------------------------------------------------------------------- */

typedef struct stowage_transform {
  uint32_t struct_size;    /* sizeof(stowage_transform), as the tier knew it */
  uint32_t sidecar_length; /* bytes kept beside each object, 0 to STOWAGE_SIDECAR_BYTES_MAX */

  /* Turns input (object->length bytes, 0 up to a page) into at most output_room bytes, sets
   * *output_length and fills the sidecar (null when sidecar_length is 0). output_room may be less than
   * the input is long: answer STOWAGE_TOO_BIG when the result does not fit, having written nothing
   * past the room. With STOWAGE_FLAG_LENGTH_PRESERVING, output_room and *output_length equal
   * object->length. */
  int32_t (*STOWAGE_NONNULL encode)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                    const stowage_object *STOWAGE_NONNULL object, const uint8_t *STOWAGE_NONNULL input,
                                    uint8_t *STOWAGE_NONNULL output, size_t output_room,
                                    size_t *STOWAGE_NONNULL output_length, uint8_t *STOWAGE_NULLABLE sidecar);

  /* The way back. Writes exactly object->length bytes to output; input and sidecar are what encode gave
   * for the same object, or damaged: then answer STOWAGE_CORRUPT or STOWAGE_AUTH, reading nothing past
   * input_length and writing nothing past object->length. */
  int32_t (*STOWAGE_NONNULL decode)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                    const stowage_object *STOWAGE_NONNULL object, const uint8_t *STOWAGE_NONNULL input,
                                    size_t input_length, uint8_t *STOWAGE_NONNULL output,
                                    const uint8_t *STOWAGE_NULLABLE sidecar);
} stowage_transform;

/* ---- Backings ------------------------------------------------------------------------------------- */

typedef struct stowage_capacity {
  uint32_t struct_size; /* set by the host; the tier fills no more than this */
  uint32_t reserved;
  uint64_t slots_total; /* slots 0 to slots_total - 1 may be used. May grow or shrink between calls. */
} stowage_capacity;

/* operation of a request */
#define STOWAGE_OPERATION_READ 1u
#define STOWAGE_OPERATION_WRITE 2u
#define STOWAGE_OPERATION_TRIM 3u
#define STOWAGE_OPERATION_SYNC 4u

/* One asynchronous operation. Made by the host and the host's until submit takes it, the tier's until
 * complete is called, then the host's again. */
typedef struct stowage_request {
  uint32_t struct_size; /* sizeof(stowage_request), as the host knew it */
  uint32_t operation;   /* STOWAGE_OPERATION_* */
  uint64_t slot;        /* the first slot */
  uint32_t slot_count;  /* how many, at least 1 (0 for SYNC) */
  uint32_t reserved;
  uint8_t *STOWAGE_NULLABLE buffer; /* slot_count pages, aligned to 4096 bytes; null for TRIM and SYNC */
  const stowage_object *STOWAGE_NULLABLE objects; /* slot_count of them, or null (TRIM, SYNC) */
  uint64_t deadline_ns; /* on the host's clock. The tier should give up with STOWAGE_RETRY by then. */
  /* Called by the tier exactly once for each request taken, from any thread, also from inside submit.
   * May submit more. After the call the tier touches neither the request nor its buffers. Before
   * completing with an error the tier may say why with host->set_error, on the same thread. */
  void (*STOWAGE_NONNULL complete)(struct stowage_request *STOWAGE_NONNULL request, int32_t result);
  void *STOWAGE_NULLABLE host_data;  /* the host's own */
  void *STOWAGE_NULLABLE tier_data;  /* the tier's own while it has the request */
  uint64_t tier_number;              /* likewise */
} stowage_request;

/* A run of slots is slot_count slots from slot on; buffer holds slot_count pages. Buffers are
 * aligned to 4096 bytes and are the host's. A backing never sees a slot at or past slots_total. */
typedef struct stowage_backing {
  uint32_t struct_size; /* sizeof(stowage_backing), as the tier knew it */
  uint32_t reserved;

  /* How many slots there are now. Must not block; asked at open, after a refused write, and now and then when all
   * slots are in use. */
  int32_t (*STOWAGE_NONNULL capacity)(stowage_instance *STOWAGE_NONNULL instance,
                                      stowage_capacity *STOWAGE_NONNULL capacity);

  /* Reads a run of slots. A slot that was never written, or was trimmed, reads as anything. */
  int32_t (*STOWAGE_NONNULL read)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                  uint64_t slot, uint32_t slot_count, uint8_t *STOWAGE_NONNULL buffer,
                                  const stowage_object *STOWAGE_NULLABLE objects);

  /* Writes a run of slots. After STOWAGE_OK a read gives these bytes; after sync they also outlive the
   * power, if the tier is persistent. After an error the slots hold anything. */
  int32_t (*STOWAGE_NONNULL write)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                   uint64_t slot, uint32_t slot_count, const uint8_t *STOWAGE_NONNULL buffer,
                                   const stowage_object *STOWAGE_NULLABLE objects);

  /* Optional. The contents of these slots are not needed any more: a hint, to give back room. */
  int32_t (*STOWAGE_NULLABLE trim)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                   uint64_t slot, uint32_t slot_count);

  /* Persistent backings: all writes that were answered before this call outlive the power when it
   * returns STOWAGE_OK. May be null for transient ones. */
  int32_t (*STOWAGE_NULLABLE sync)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context);

  /* Optional. Takes requests in order, as many as it can: *taken of them, from the first on. With no
   * place left it answers STOWAGE_RETRY, and the host offers the rest again later. Must not
   * block on the operations themselves. Not null means that the host may use it instead of
   * read, write, trim and sync; all are present then. */
  int32_t (*STOWAGE_NULLABLE submit)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NULLABLE context,
                                     stowage_request *STOWAGE_NONNULL const *STOWAGE_NONNULL requests, uint32_t request_count,
                                     uint32_t *STOWAGE_NONNULL taken);

  /* Optional. The address at which the slot's page can be read in place, valid until the slot is
   * written or trimmed or the instance is closed; null if this slot cannot. */
  const uint8_t *STOWAGE_NULLABLE (*STOWAGE_NULLABLE map)(stowage_instance *STOWAGE_NONNULL instance, uint64_t slot);

  /* Persistent backings; null for transient ones. Copies the root (up to STOWAGE_ROOT_BYTES_MAX bytes) to
   * root and sets *length; 0 when there is none yet. */
  int32_t (*STOWAGE_NULLABLE root_read)(stowage_instance *STOWAGE_NONNULL instance, uint8_t *STOWAGE_NONNULL root,
                                        size_t room, size_t *STOWAGE_NONNULL length);

  /* Replaces the root by new_root, atomically and durably (sync included), if it now equals expected
   * byte for byte; otherwise answers STOWAGE_GONE and changes nothing. expected_length 0: there is none
   * yet. A crash leaves the one or the other; so may another error: what either needs must be kept until
   * a later swap succeeds. */
  int32_t (*STOWAGE_NULLABLE root_swap)(stowage_instance *STOWAGE_NONNULL instance, const uint8_t *STOWAGE_NULLABLE expected,
                                        size_t expected_length, const uint8_t *STOWAGE_NONNULL new_root,
                                        size_t new_length);
} stowage_backing;

/* ---- The tier's descriptor ------------------------------------------------------------------------ */

/* state of stowage_health */
#define STOWAGE_HEALTH_GOOD 1u
#define STOWAGE_HEALTH_DEGRADED 2u /* works, but slowly or without its redundancy */
#define STOWAGE_HEALTH_FAILED 3u   /* cannot store now */

typedef struct stowage_health {
  uint32_t struct_size; /* set by the host; the tier fills no more than this */
  uint32_t state;       /* STOWAGE_HEALTH_* */
  char message[256];    /* NUL-terminated, for people; empty when good */
} stowage_health;

/* use of a context, for thread_open: what it will be called with */
#define STOWAGE_CONTEXT_ENCODE 1u /* encode, write, trim, sync */
#define STOWAGE_CONTEXT_DECODE 2u /* decode, read */

/* Constant, filled in before stowage_tier_entry returns, lives for ever. */
typedef struct stowage_tier {
  uint64_t magic;          /* STOWAGE_TIER_MAGIC */
  uint32_t struct_size;    /* sizeof(stowage_tier), as the tier knew it */
  uint16_t abi_major;      /* STOWAGE_ABI_MAJOR that it was built against */
  uint16_t abi_minor;      /* STOWAGE_ABI_MINOR that it was built against */
  uint16_t minor_required; /* the lowest host minor version that it can work with */
  uint16_t reserved0;
  uint32_t role;         /* STOWAGE_ROLE_* */
  uint32_t lifetime;     /* STOWAGE_LIFETIME_* */
  uint32_t access;       /* STOWAGE_ACCESS_* */
  uint32_t priority;     /* 0 to STOWAGE_PRIORITY_MAX, the place in the chain: low is near RAM */
  uint32_t thread_model; /* STOWAGE_THREADS_* */
  uint64_t flags_required;
  uint64_t flags_optional;

  const char *STOWAGE_NONNULL name;    /* as in NAME.tier.so: lower-case letters, digits and '-', at most 32 */
  const char *STOWAGE_NONNULL version; /* the tier's own, "1.2.3" */
  const char *STOWAGE_NONNULL summary; /* one line */
  const char *STOWAGE_NULLABLE vendor; /* may be null */
  const char *STOWAGE_NULLABLE licence; /* an SPDX expression; may be null */
  const char *STOWAGE_NULLABLE url;     /* may be null */

  const stowage_option *STOWAGE_NULLABLE options; /* may be null when option_count is 0 */
  uint32_t option_count;
  uint32_t option_size; /* sizeof(stowage_option), as the tier knew it */

  /* Makes an instance. On error *instance is left alone and nothing of it remains. */
  int32_t (*STOWAGE_NONNULL open)(const stowage_open *STOWAGE_NONNULL arguments,
                                  stowage_instance *STOWAGE_NULLABLE *STOWAGE_NONNULL instance);

  /* Ends an instance: no call is running, every context is closed, every request completed. Keys are
   * wiped, all its memory is freed. */
  void (*STOWAGE_NONNULL close)(stowage_instance *STOWAGE_NONNULL instance);

  /* Both or neither. Makes and ends a working context; use says for what (STOWAGE_CONTEXT_*, or'ed).
   * Without them, data calls get a null context. */
  int32_t (*STOWAGE_NULLABLE thread_open)(stowage_instance *STOWAGE_NONNULL instance, uint32_t use,
                                          stowage_context *STOWAGE_NULLABLE *STOWAGE_NONNULL context);
  void (*STOWAGE_NULLABLE thread_close)(stowage_instance *STOWAGE_NONNULL instance, stowage_context *STOWAGE_NONNULL context);

  /* Optional, both or neither. What must be kept to decode every object that this instance can decode: those
   * that it encodes, and those of the state that it was given. A dictionary, a wrapped key. state_save writes
   * at most room bytes and sets *length; with room 0 it answers STOWAGE_TOO_BIG and sets *length to what it
   * needs. When nothing of what this instance encodes can outlive it, as it is configured, the answer is
   * STOWAGE_UNSUPPORTED, whatever the room, and set_error says why and what to do: the host refuses to suspend
   * with that text.
   *
   * state_load comes before any context is opened. The instance then continues: it decodes the objects of all
   * epochs in the state (object->epoch says which), under options that may differ, and encodes under its own
   * epoch, which the state does not have yet. A damaged state is STOWAGE_CORRUPT, one that needs another key
   * STOWAGE_AUTH, one that needs other options STOWAGE_INVALID. */
  int32_t (*STOWAGE_NULLABLE state_save)(stowage_instance *STOWAGE_NONNULL instance, uint8_t *STOWAGE_NULLABLE state,
                                         size_t room, size_t *STOWAGE_NONNULL length);
  int32_t (*STOWAGE_NULLABLE state_load)(stowage_instance *STOWAGE_NONNULL instance, const uint8_t *STOWAGE_NONNULL state,
                                         size_t length);

  /* Optional. How the instance fares; must not block. */
  int32_t (*STOWAGE_NULLABLE health)(stowage_instance *STOWAGE_NONNULL instance, stowage_health *STOWAGE_NONNULL health);

  const stowage_transform *STOWAGE_NULLABLE transform; /* for ROLE_TRANSFORM, else null. Constant, lives for ever. */
  const stowage_backing *STOWAGE_NULLABLE backing;     /* for ROLE_BACKING, else null. Constant, lives for ever. */

  /* Optional. An extension of the tier by its id, "name/revision" (see stowage/extensions.h); null when it
   * has none of that id. What is returned is constant and lives for ever. May be called without an
   * instance, and must not block. */
  const void *STOWAGE_NULLABLE (*STOWAGE_NULLABLE get_extension)(const char *STOWAGE_NONNULL id);
} stowage_tier;

#if defined(__GNUC__)
#define STOWAGE_EXPORT __attribute__((visibility("default")))
#else
#define STOWAGE_EXPORT
#endif

/* The one exported function. host lives for ever. Called once per process, before anything else; must
 * not start threads, open files or block. Returns the descriptor, or null with host->set_error. */
typedef const stowage_tier *STOWAGE_NULLABLE (*stowage_tier_entry_function)(const stowage_host *STOWAGE_NONNULL host);
#ifndef STOWAGE_NO_ENTRY_PROTOTYPE
STOWAGE_EXPORT const stowage_tier *STOWAGE_NULLABLE stowage_tier_entry(const stowage_host *STOWAGE_NONNULL host);
#endif

#ifdef STOWAGE_POP_DIAGNOSTICS
#pragma clang diagnostic pop
#undef STOWAGE_POP_DIAGNOSTICS
#endif

#ifdef __cplusplus
}
#endif

#endif /* STOWAGE_TIER_H */
