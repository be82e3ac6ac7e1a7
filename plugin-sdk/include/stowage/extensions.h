/* SPDX-License-Identifier: Apache-2.0
 *
 * stowage/extensions.h - what hosts and tiers may offer each other beyond stowage/tier.h. A tier that offers none of it
 * does not need this file.
 *
 * An extension is a constant structure that get_extension of the one side returns to the other, found by its id:
 * "name/revision". Both sides must know it, and both must do without it:
 *   - A revision never changes its meaning. The structure may grow at its end, as all do; anything else is a new
 *     revision with an id of its own, and a side may offer both.
 *   - An id that is not known gives null. That is no error, and the question is never passed on to another tier.
 *   - A draft has the id that it will keep. Ids that begin with "stowage." are defined here; others should begin with a
 *     domain of their author ("org.example.shelf/1").
 */
#ifndef STOWAGE_EXTENSIONS_H
#define STOWAGE_EXTENSIONS_H

#include "tier.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#endif

/* ---- stowage.tier.describe/1, of a tier ------------------------------------------------------------ */

/* What the tier runs on, here and now: the library that does the work and its version, what it uses of the processor,
 * the device that it found. `stowage plugins info` shows it. */
#define STOWAGE_EXTENSION_DESCRIBE "stowage.tier.describe/1"

typedef struct stowage_describe_extension {
  uint32_t struct_size; /* sizeof(stowage_describe_extension), as the tier knew it */
  uint32_t reserved;

  /* Writes one line for people to text, at most room bytes of UTF-8 without a NUL, and sets *length; what does not fit
   * is cut between characters. room is at least 1. Called on any thread, one call at a time, with or without an
   * instance open; must not block, nor start threads. No secrets: it is printed. On an error text and *length mean
   * nothing. */
  int32_t (*STOWAGE_NONNULL describe)(char *STOWAGE_NONNULL text, size_t room, size_t *STOWAGE_NONNULL length);
} stowage_describe_extension;

/* ---- stowage.tier.rekey/1, of a transform ----------------------------------------------------------- */

/* Another key for what is kept: the state of one instance, written so that instances opened with other key options can
 * load it. Nothing that is stored is encoded anew. */
#define STOWAGE_EXTENSION_REKEY "stowage.tier.rekey/1"

typedef struct stowage_rekey_extension {
  uint32_t struct_size; /* sizeof(stowage_rekey_extension), as the tier knew it */
  uint32_t reserved;

  /* from: opened with the options that its state needs, and given that state, if there is one. to: opened with the new
   * options, given no state, without contexts. Both are instances of this tier, and neither is changed. Writes what
   * instances opened like `to` take in state_load, to decode what `from` can: the epochs of its state, and its own
   * once a context for encoding was opened. room and *length are as in state_save. STOWAGE_UNSUPPORTED, with the
   * reason, when what `from` encoded cannot outlive it; STOWAGE_INVALID when `to` cannot keep a state. May take as
   * long as open. */
  int32_t (*STOWAGE_NONNULL rekey)(stowage_instance *STOWAGE_NONNULL from, stowage_instance *STOWAGE_NONNULL to,
                                   uint8_t *STOWAGE_NULLABLE state, size_t room, size_t *STOWAGE_NONNULL length);
} stowage_rekey_extension;

/* ---- stowage.host.storage/1, of a host (draft) ----------------------------------------------------- */

/* Storage in the place of files, for persistent backings. A host that offers it asks the tier to keep there what it
 * would keep in files, and nothing outside: `stowage plugins validate` does so, and has what was not synced get lost as
 * in a power cut. Other hosts do not offer it. A tier says that it uses it by asking for it, in its entry or in open.
 *
 * A storage is an array of bytes with a length, as a file is. What was written is seen by reads at once; it outlives
 * the power only when a sync that began afterwards has answered STOWAGE_OK. Until then each write may be kept, lost or
 * kept in part (in units of 512 bytes), and in any order. All functions may be called on any thread, side by side,
 * answer a result of the interface, and may block. */
#define STOWAGE_EXTENSION_STORAGE "stowage.host.storage/1"

/* An open storage, the host's. */
typedef struct stowage_storage stowage_storage;

typedef struct stowage_storage_extension {
  uint32_t struct_size; /* sizeof(stowage_storage_extension), as the host knew it */
  uint32_t reserved;

  /* Opens the storage of a name, such as the value of an option of the type STOWAGE_OPTION_PATH, and sets *storage;
   * makes an empty one if there is none. STOWAGE_RETRY while it is open elsewhere. name is read during the call only.
   */
  int32_t (*STOWAGE_NONNULL open)(const char *STOWAGE_NONNULL name,
                                  stowage_storage *STOWAGE_NULLABLE *STOWAGE_NONNULL storage);

  /* Once for each open; brings nothing out. No other call on this storage may be running, or come later. */
  void (*STOWAGE_NONNULL close)(stowage_storage *STOWAGE_NONNULL storage);

  /* Sets *length to the end of the last byte that was written. */
  int32_t (*STOWAGE_NONNULL length)(stowage_storage *STOWAGE_NONNULL storage, uint64_t *STOWAGE_NONNULL length);

  /* Reads count bytes from offset on; what was never written, also past the end, reads as zeros. */
  int32_t (*STOWAGE_NONNULL pread)(stowage_storage *STOWAGE_NONNULL storage, void *STOWAGE_NONNULL bytes, size_t count,
                                   uint64_t offset);

  /* Writes count bytes from offset on; the storage grows as far as it has to. */
  int32_t (*STOWAGE_NONNULL pwrite)(stowage_storage *STOWAGE_NONNULL storage, const void *STOWAGE_NONNULL bytes,
                                    size_t count, uint64_t offset);

  /* Answers STOWAGE_OK when all that was written before it began outlives the power. */
  int32_t (*STOWAGE_NONNULL sync)(stowage_storage *STOWAGE_NONNULL storage);
} stowage_storage_extension;

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* STOWAGE_EXTENSIONS_H */
