// SPDX-License-Identifier: Apache-2.0
//
// Calls of Linux that Swift's C library module does not show.
#ifndef STOWAGE_SOCKETS_H
#define STOWAGE_SOCKETS_H

#include <stdint.h>

/// Takes a connection; the descriptor is closed in programs that are started, and blocks. -1 with errno set: none.
int stowage_accept(int listener);

/// Who is at the other end of a socket in the file system. 0, or -1 with errno set.
int stowage_peer(int socket, int32_t *_Nonnull process, uint32_t *_Nonnull user);

/// Tells the kernel that this process writes what others swap out, so that it is not made to wait for that itself
/// (PR_SET_IO_FLUSHER, Linux 5.6). 0, or an errno.
int stowage_become_io_flusher(void);

/// Locks all memory of the process in RAM, each page from its first use on. 0, or an errno.
int stowage_lock_all_memory(void);

#endif
