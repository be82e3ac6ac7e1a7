/* SPDX-License-Identifier: Apache-2.0
 *
 * Secret memory for what OpenSSL makes of keys: expanded keys, what a derivation works on. OpenSSL knows no memory of
 * one context's own, only functions for the whole process: these hand everything on to the C library, but for what is
 * allocated between begin and end on the thread that called begin. */
#ifndef STOWAGE_KEY_MEMORY_H
#define STOWAGE_KEY_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* The functions of the host's table; they live for ever. */
typedef void *_Nullable (*stowage_key_memory_allocate)(uint64_t owner, size_t size, size_t alignment, uint32_t kind);
typedef void (*stowage_key_memory_free)(uint64_t owner, void *_Nullable memory, size_t size, uint32_t kind);

/* Takes effect once in a process, and only before OpenSSL has allocated anything. False: it stays as it was, and keys
 * lie in ordinary memory. */
_Bool stowage_key_memory_install(void);

/* Until end, this thread's allocations by OpenSSL come from the host's memory of this kind and are wiped when freed,
 * whenever and on whatever thread that is. Nothing that OpenSSL keeps for longer may be made meanwhile. */
void stowage_key_memory_begin(stowage_key_memory_allocate _Nonnull allocate, stowage_key_memory_free _Nonnull free,
                              uint64_t owner, uint32_t kind);
void stowage_key_memory_end(void);

#endif
