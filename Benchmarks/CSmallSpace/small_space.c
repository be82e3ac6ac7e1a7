/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "small_space.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void stowage_use_small_space(void) {}

static size_t cut(size_t length) { return length < STOWAGE_SMALL_SPACE_MOST ? length : STOWAGE_SMALL_SPACE_MOST; }

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
  if (flags & MAP_NORESERVE) length = cut(length);
  return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

/* Of a reservation that was cut, only what there is. */
int munmap(void *address, size_t length) { return (int)syscall(SYS_munmap, address, cut(length)); }

int madvise(void *address, size_t length, int advice) {
  return (int)syscall(SYS_madvise, address, cut(length), advice);
}
