// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "stowage_probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int set_up(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *files, int result, int errors) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  int error = posix_spawnattr_setflags(
      attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (!error) error = posix_spawnattr_setpgroup(attributes, 0);
  if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
  if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
  // The pipes' ends are above STOWAGE_CHILD_RESULT (see pipe_above), so no step overwrites what a later needs.
  if (!error) error = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
  if (!error) error = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
  if (!error) error = posix_spawn_file_actions_adddup2(files, errors, 2);
  if (!error) error = posix_spawn_file_actions_adddup2(files, result, STOWAGE_CHILD_RESULT);
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(files, STOWAGE_CHILD_RESULT + 1);
  return error;
}

static int move_above(int *descriptor) {
  int moved = fcntl(*descriptor, F_DUPFD_CLOEXEC, STOWAGE_CHILD_RESULT + 1);
  if (moved < 0) return errno;
  close(*descriptor);
  *descriptor = moved;
  return 0;
}

static int pipe_above(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  int error = move_above(&ends[1]);
  if (!error && fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) error = errno;
  if (error) {
    close(ends[0]);
    close(ends[1]);
  }
  return error;
}

static int spawn_between(const char *program, char *const *arguments, char *const *environment, int result,
                         int errors, pid_t *pid) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  int error = posix_spawnattr_init(&attributes);
  if (error) return error;
  error = posix_spawn_file_actions_init(&files);
  if (!error) {
    error = set_up(&attributes, &files, result, errors);
    if (!error) error = posix_spawn(pid, program, &files, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&files);
  }
  posix_spawnattr_destroy(&attributes);
  return error;
}

int stowage_spawn(const char *program, char *const *arguments, char *const *environment, stowage_child *child) {
  int result[2], errors[2];
  int error = pipe_above(result);
  if (error) return error;
  error = pipe_above(errors);
  if (error) {
    close(result[0]);
    close(result[1]);
    return error;
  }
  error = spawn_between(program, arguments, environment, result[1], errors[1], &child->pid);
  close(result[1]);
  close(errors[1]);
  if (error) {
    close(result[0]);
    close(errors[0]);
    return error;
  }
  child->result = result[0];
  child->errors = errors[0];
  return 0;
}

int stowage_child_ended(pid_t pid) {
  siginfo_t info = {0};
  int answer;
  do answer = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
  while (answer != 0 && errno == EINTR);
  if (answer != 0) return -1;
  return info.si_pid == pid;
}

int stowage_child_reap(pid_t pid) {
  // Not yet waited for, the child still holds its number, so the group cannot be another's.
  if (stowage_child_ended(pid) >= 0) kill(-pid, SIGKILL);
  int status = 0;
  pid_t answer;
  do answer = waitpid(pid, &status, 0);
  while (answer < 0 && errno == EINTR);
  return answer == pid ? status : -1;
}

int stowage_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : errno; }

const char *stowage_signal_name(int number) {
  static const struct {
    int number;
    const char *name;
  } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"},
               {SIGFPE, "SIGFPE"},   {SIGTRAP, "SIGTRAP"}, {SIGKILL, "SIGKILL"}, {SIGTERM, "SIGTERM"},
               {SIGPIPE, "SIGPIPE"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},
               {SIGINT, "SIGINT"},   {SIGHUP, "SIGHUP"},   {SIGALRM, "SIGALRM"}, {SIGQUIT, "SIGQUIT"}};
  for (size_t at = 0; at < sizeof names / sizeof names[0]; at++)
    if (names[at].number == number) return names[at].name;
  return NULL;
}

const char *stowage_file_of_address(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fname : NULL;
}

const char *stowage_environment(const char *name) { return secure_getenv(name); }

int stowage_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int stowage_terminal_columns(int descriptor) {
  struct winsize size;
  if (!isatty(descriptor)) return 0;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}
