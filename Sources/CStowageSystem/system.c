// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "stowage_system.h"
#include "wide.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int stowage_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns) {
  struct timespec limit, *pointer = NULL;
  if (timeout_ns >= 0) {
    limit.tv_sec = timeout_ns / 1000000000;
    limit.tv_nsec = timeout_ns % 1000000000;
    pointer = &limit;
  }
  long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, pointer, NULL, 0);
  return result == 0 ? 0 : errno;
}

void stowage_futex_wake(uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static _Atomic uint32_t next_thread;
static _Thread_local uint32_t thread_number_plus_one;
static _Thread_local uintptr_t thread_owner;
static _Thread_local char thread_error[513];

uint32_t stowage_thread_number(void) {
  if (thread_number_plus_one == 0)
    thread_number_plus_one = atomic_fetch_add_explicit(&next_thread, 1, memory_order_relaxed) + 1;
  return thread_number_plus_one - 1;
}

void stowage_thread_begin(const char *name, uintptr_t owner) {
  thread_owner = owner;
  prctl(PR_SET_NAME, name, 0, 0, 0);
}

uintptr_t stowage_thread_owner(void) { return thread_owner; }

void stowage_error_set(const char *text, size_t length) {
  size_t size = length < sizeof thread_error - 1 ? length : sizeof thread_error - 1;
  memcpy(thread_error, text, size);
  thread_error[size] = 0;
}

const char *stowage_error_get(void) { return thread_error; }
void stowage_error_clear(void) { thread_error[0] = 0; }

void stowage_wipe(void *bytes, size_t size) { explicit_bzero(bytes, size); }

int stowage_random_fill(void *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t count = getrandom((char *)bytes + done, size - done, 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return errno;
    done += (size_t)count;
  }
  return 0;
}

int stowage_same_filled(const void *bytes, size_t size, uint64_t *word) {
  uint64_t first;
  memcpy(&first, bytes, 8);
  *word = first;
  uint64_t second;
  memcpy(&second, (const char *)bytes + 8, 8);
  if (first != second)
    return 0;
  // A page is same-filled when it equals itself moved by one word; memcmp leaves at the first difference.
  return memcmp(bytes, (const char *)bytes + 8, size - 8) == 0;
}

void stowage_fill(void *bytes, size_t size, uint64_t word) {
#ifdef STOWAGE_WIDE
  if (stowage_is_wide()) {
    stowage_fill_avx2(bytes, size, word);
    return;
  }
#endif
  STOWAGE_FILL(bytes, size, word);
}
