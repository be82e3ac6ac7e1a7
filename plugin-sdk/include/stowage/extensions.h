/* SPDX-License-Identifier: Apache-2.0
 *
 * stowage/extensions.h - what hosts and tiers may offer each other beyond stowage/tier.h. A tier that offers none of it
 * does not need this file.
 *
 * An extension is a constant structure that get_extension of the one side returns to the other, found by its id:
 * "name/revision". Both sides must know it, and both must do without it:
 *   - A revision never changes its meaning. The structure may grow at its end, as all do; anything else is a new revision
 *     with an id of its own, and a side may offer both.
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
   * is cut between characters. room is at least 1. Called on any thread, one call at a time, with or without an instance
   * open; must not block, nor start threads. No secrets: it is printed. On an error text and *length mean nothing. */
  int32_t (*STOWAGE_NONNULL describe)(char *STOWAGE_NONNULL text, size_t room, size_t *STOWAGE_NONNULL length);
} stowage_describe_extension;

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* STOWAGE_EXTENSIONS_H */
