// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "stowage_sockets.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

int stowage_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }

int stowage_peer(int socket, int32_t *process, uint32_t *user) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return -1;
  *process = credentials.pid;
  *user = credentials.uid;
  return 0;
}

int stowage_become_io_flusher(void) { return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : errno; }

int stowage_lock_all_memory(void) {
  // Not all that is mapped: tables reserve far more addresses than they will ever use.
  return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? 0 : errno;
}
