// SPDX-License-Identifier: Apache-2.0
//
// Linux calls that the trial needs and Swift cannot make: variadic ones, and GNU extensions that the
// Glibc module does not show.
#ifndef STOWAGE_TRIAL_H
#define STOWAGE_TRIAL_H

#include <stddef.h>
#include <stdint.h>

// Has the kernel kill this process when the thread that started it ends. If the parent is not
// `parent` any more, it has ended already and this process ends at once.
void stowage_trial_die_with(int32_t parent);

// Makes a pipe whose ends are closed on exec. 0, or an errno.
int stowage_trial_pipe(int32_t *_Nonnull read_end, int32_t *_Nonnull write_end);

// Gives the C heap's free memory back to the kernel, so that later use of it is seen as growth.
void stowage_trial_trim_heap(void);

// Bytes of a regular file now in the page cache; -1 when the kernel does not say. Allocates nothing.
int64_t stowage_trial_cached_bytes(int32_t fd);

// Bytes that may still be written in a folder, and whether what is written there stays in RAM
// (tmpfs). 0, or an errno.
int stowage_trial_free_space(
    const char *_Nonnull folder, int64_t *_Nonnull bytes, int32_t *_Nonnull in_memory);

#endif
