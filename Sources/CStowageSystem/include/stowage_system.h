// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot express: thread-local storage, the variadic futex system call, and inline hashing
// from a header-only library.
#ifndef STOWAGE_SYSTEM_H
#define STOWAGE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/// Waits while *word equals expected, at most timeout_ns (negative: without end).
/// 0: woken or changed; otherwise an errno (ETIMEDOUT, EAGAIN, EINTR).
int stowage_futex_wait(uint32_t *_Nonnull word, uint32_t expected, int64_t timeout_ns);

/// Clears the vector registers that a call may change: what was copied last is in them, and in every core dump. On x86-64;
/// elsewhere nothing.
void stowage_forget_registers(void);

/// Wakes up to count waiters.
void stowage_futex_wake(uint32_t *_Nonnull word, int count);

/// A number of this thread, counted from 0 in order of first use: a hint for spreading.
uint32_t stowage_thread_number(void);

/// Names this thread (cut to 15 bytes) and notes whose it is; and asks whose it is, 0 when nobody's.
void stowage_thread_begin(const char *_Nonnull name, uintptr_t owner);
uintptr_t stowage_thread_owner(void);

/// The last message of this thread: at most 512 bytes and a NUL, cut longer ones.
void stowage_error_set(const char *_Nonnull text, size_t length);
const char *_Nonnull stowage_error_get(void);
void stowage_error_clear(void);

/// Tells the processor that this thread spins: some ten nanoseconds in which it leaves the core's resources to others.
static inline void stowage_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");
#endif
}

/// Asks for the cache line at an address that will be read soon. Any address may be given.
static inline void stowage_prefetch(const void *_Nonnull address) { __builtin_prefetch(address, 0, 3); }

/// Overwrites with zeros; not removed by the compiler.
void stowage_wipe(void *_Nonnull bytes, size_t size);

/// Fills with random bytes of the kernel, fit for keys. 0, or an errno.
int stowage_random_fill(void *_Nonnull bytes, size_t size);

/// XXH3, 64 and 128 bits. The narrow one is the same without the wider vectors that some processors have.
uint64_t stowage_hash64(const void *_Nonnull bytes, size_t size, uint64_t seed);
uint64_t stowage_hash64_narrow(const void *_Nonnull bytes, size_t size, uint64_t seed);
void stowage_hash128(const void *_Nonnull bytes, size_t size, uint64_t seed, uint64_t out[_Nonnull 2]);

/// The repeated word when all size bytes (a multiple of 64) are one repeated 8-byte word: 1, and *word.
int stowage_same_filled(const void *_Nonnull bytes, size_t size, uint64_t *_Nonnull word);

/// Fills with a repeated 8-byte word; size is a multiple of 8.
void stowage_fill(void *_Nonnull bytes, size_t size, uint64_t word);

#endif
