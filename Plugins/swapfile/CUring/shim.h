/* SPDX-License-Identifier: Apache-2.0
 *
 * What Swift cannot take from the system's headers by itself: liburing's inline functions, and constants that
 * only show with _GNU_SOURCE. */
#ifndef STOWAGE_URING_SHIM_H
#define STOWAGE_URING_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The same on every Linux, but for O_DIRECT, which goes by machine. */
#ifdef __O_DIRECT
#define STOWAGE_O_DIRECT_VALUE __O_DIRECT
#else
#define STOWAGE_O_DIRECT_VALUE O_DIRECT
#endif
static const int32_t stowage_o_direct = STOWAGE_O_DIRECT_VALUE;
/* FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */
static const int32_t stowage_punch_hole = 0x02 | 0x01;

#ifdef __GLIBC__
extern const char *strerrordesc_np(int error);
extern int fallocate(int fd, int mode, off_t offset, off_t length);
extern int pthread_setname_np(pthread_t thread, const char *name);
#endif

/* The text of an error; safe in any thread. */
static inline const char *stowage_error_text(int error) {
#ifdef __GLIBC__
  const char *text = strerrordesc_np(error);
#else
  const char *text = strerror(error);
#endif
  return text ? text : "unknown error";
}

/* A ring with room for `completions` operations in flight; 0 or a negative errno. A kernel that lacks one of
 * the operations counts as one without rings. */
static inline int stowage_ring_open(struct io_uring *ring, unsigned submissions, unsigned completions) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof parameters);
  parameters.flags = IORING_SETUP_CQSIZE;
  parameters.cq_entries = completions;
  int result = io_uring_queue_init_params(submissions, ring, &parameters);
  if (result < 0) return result;
  struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
  int complete = probe && io_uring_opcode_supported(probe, IORING_OP_READ) &&
                 io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                 io_uring_opcode_supported(probe, IORING_OP_FSYNC) &&
                 io_uring_opcode_supported(probe, IORING_OP_FALLOCATE);
  if (probe) io_uring_free_probe(probe);
  if (complete) return 0;
  io_uring_queue_exit(ring);
  return -ENOSYS;
}

/* Each of these queues one operation; false when the submission queue has no place. */
static inline _Bool stowage_ring_read(struct io_uring *ring, int fd, void *buffer, unsigned length, uint64_t offset,
                                      void *data) {
  struct io_uring_sqe *entry = io_uring_get_sqe(ring);
  if (!entry) return 0;
  io_uring_prep_read(entry, fd, buffer, length, offset);
  io_uring_sqe_set_data(entry, data);
  return 1;
}

static inline _Bool stowage_ring_write(struct io_uring *ring, int fd, const void *buffer, unsigned length,
                                       uint64_t offset, void *data) {
  struct io_uring_sqe *entry = io_uring_get_sqe(ring);
  if (!entry) return 0;
  io_uring_prep_write(entry, fd, buffer, length, offset);
  io_uring_sqe_set_data(entry, data);
  return 1;
}

static inline _Bool stowage_ring_punch(struct io_uring *ring, int fd, uint64_t offset, uint64_t length, void *data) {
  struct io_uring_sqe *entry = io_uring_get_sqe(ring);
  if (!entry) return 0;
  io_uring_prep_fallocate(entry, fd, stowage_punch_hole, (off_t)offset, (off_t)length);
  io_uring_sqe_set_data(entry, data);
  return 1;
}

static inline _Bool stowage_ring_sync(struct io_uring *ring, int fd, void *data) {
  struct io_uring_sqe *entry = io_uring_get_sqe(ring);
  if (!entry) return 0;
  io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
  io_uring_sqe_set_data(entry, data);
  return 1;
}

/* An operation without data: tells the reaper to end. */
static inline _Bool stowage_ring_stop(struct io_uring *ring) {
  struct io_uring_sqe *entry = io_uring_get_sqe(ring);
  if (!entry) return 0;
  io_uring_prep_nop(entry);
  io_uring_sqe_set_data(entry, (void *)0);
  return 1;
}

/* How many queued operations the kernel has not taken yet. */
static inline unsigned stowage_ring_unsent(struct io_uring *ring) { return io_uring_sq_ready(ring); }

/* Waits for one completion and takes it off; 0 or a negative errno. */
static inline int stowage_ring_wait(struct io_uring *ring, void **data, int *result) {
  struct io_uring_cqe *entry;
  int error = io_uring_wait_cqe(ring, &entry);
  if (error < 0) return error;
  *data = io_uring_cqe_get_data(entry);
  *result = entry->res;
  io_uring_cqe_seen(ring, entry);
  return 0;
}

#endif
