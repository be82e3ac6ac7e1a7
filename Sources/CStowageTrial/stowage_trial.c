// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "stowage_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

void stowage_trial_die_with(int32_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
}

int stowage_trial_pipe(int32_t *read_end, int32_t *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}

void stowage_trial_trim_heap(void) { malloc_trim(0); }

// The numbers and shapes of cachestat(2), which came with Linux 6.5 and is the same everywhere.
#define CACHESTAT_NUMBER 451
struct range {
  uint64_t offset, length;
};
struct cached {
  uint64_t pages, dirty, writeback, evicted, recently_evicted;
};

// For older kernels: looks at the file's pages through a mapping that is never touched.
static int64_t cached_by_mapping(int32_t fd, size_t length, size_t page) {
  void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return -1;
  unsigned char resident[4096];
  int64_t pages = 0;
  for (size_t at = 0; at < length; at += sizeof resident * page) {
    size_t part = length - at < sizeof resident * page ? length - at : sizeof resident * page;
    if (mincore((char *)map + at, part, resident) != 0) {
      pages = -1;
      break;
    }
    for (size_t i = 0; i < (part + page - 1) / page; i++) pages += resident[i] & 1;
  }
  munmap(map, length);
  return pages < 0 ? -1 : pages * (int64_t)page;
}

int64_t stowage_trial_cached_bytes(int32_t fd) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  struct range all = {0, 0};
  struct cached now;
  if (syscall(CACHESTAT_NUMBER, fd, &all, &now, 0) == 0) return (int64_t)(now.pages * page);
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
  return status.st_size == 0 ? 0 : cached_by_mapping(fd, (size_t)status.st_size, page);
}

int stowage_trial_free_space(const char *folder, int64_t *bytes, int32_t *in_memory) {
  struct statfs status;
  if (statfs(folder, &status) != 0) return errno;
  *bytes = (int64_t)status.f_bavail * status.f_bsize;
  *in_memory = status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
  return 0;
}
