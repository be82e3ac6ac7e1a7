// SPDX-License-Identifier: Apache-2.0
//
// Processes and the dynamic linker, where Swift's Glibc module does not reach: GNU extensions and
// variadic calls.
#ifndef STOWAGE_PROBE_H
#define STOWAGE_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// A process as stowage_spawn leaves it to its parent. The descriptors are the parent's.
typedef struct stowage_child {
  pid_t pid;
  int result; /* reads what the child writes to its descriptor STOWAGE_CHILD_RESULT */
  int errors; /* reads what the child writes to its standard error */
} stowage_child;

#define STOWAGE_CHILD_RESULT 3

/// Starts program with arguments and environment (both end in a null pointer) in a process group of its own,
/// its signals at their defaults, standard input and output at /dev/null, and nothing else open than the two
/// pipes of child, which are not blocking. 0, or an errno.
int stowage_spawn(const char *_Nonnull program, char *_Nullable const *_Nonnull arguments,
                  char *_Nullable const *_Nonnull environment, stowage_child *_Nonnull child);

/// Whether the child has ended: 1, and it is still to be reaped; 0 if it runs; -1 if there is no such child.
int stowage_child_ended(pid_t pid);

/// Kills what is left of the child's process group, waits for the child and returns its wait status;
/// -1 if somebody else has reaped it.
int stowage_child_reap(pid_t pid);

/// Kills every process that has mark, "NAME=value", in the environment with which it or its parent was started: what a
/// child has forked is found by it also in another group or session, and when its parent is long gone.
void stowage_end_marked(const char *_Nonnull mark);

/// Bytes of memory that are the process's own and present, without files and what it shares; 0 if it cannot be told.
size_t stowage_own_memory(pid_t pid);

/// Asks the kernel to kill this process when its parent ends. 0, or an errno.
int stowage_end_with_parent(void);

/// "SIGSEGV" and the like; null if the number is none.
const char *_Nullable stowage_signal_name(int number);

/// The file from which the address was mapped, as the dynamic linker names it; null if it knows of none.
const char *_Nullable stowage_file_of_address(const void *_Nonnull address);

/// getenv, but null in a process that runs with more rights than its user.
const char *_Nullable stowage_environment(const char *_Nonnull name);

/// A file in memory, closed on exec, to be shared with a child by /proc/PID/fd. -1 with errno set.
int stowage_memory_file(const char *_Nonnull name);

/// Bytes that malloc has given out in this process and that were not freed. 0 where the C library does not tell.
size_t stowage_heap_bytes(void);

/// The columns of the terminal behind the descriptor; 0 if it is none.
int stowage_terminal_columns(int descriptor);

#endif
