// SPDX-License-Identifier: Apache-2.0
//
// Counts every allocation of a whole process: preloaded, in front of the C library's own. The counts are in the file that
// STOWAGE_MALLOC_COUNT names, 8 bytes each: all allocations, and those since the third number was set by a reader. The first
// few of those are told on the standard error, with who asked for them.
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

struct counts {
  _Atomic unsigned long all, since, armed;
};
static struct counts none, *counts = &none;
static _Thread_local int is_telling;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("STOWAGE_MALLOC_COUNT");
  void *frames[4];
  backtrace(frames, 4); // Its first use allocates.
  int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0)
    return;
  void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared != MAP_FAILED)
    counts = shared;
}

static void count(void) {
  atomic_fetch_add_explicit(&counts->all, 1, memory_order_relaxed);
  if (!atomic_load_explicit(&counts->armed, memory_order_relaxed) || is_telling)
    return;
  if (atomic_fetch_add_explicit(&counts->since, 1, memory_order_relaxed) >= 5)
    return;
  is_telling = 1;
  void *frames[24];
  backtrace_symbols_fd(frames, backtrace(frames, 24), 2);
  (void)!write(2, "--\n", 3);
  is_telling = 0;
}

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count();
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (!memory)
    return ENOMEM;
  *out = memory;
  return 0;
}
