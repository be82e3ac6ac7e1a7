// SPDX-License-Identifier: Apache-2.0
//
// Other processes, as /proc shows them.
#define _GNU_SOURCE
#include "stowage_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Longer environments are not read to their end.
enum { environment_max = 256 << 10 };

static ssize_t read_file(const char *path, char *buffer, size_t room) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  size_t done = 0;
  while (done < room) {
    ssize_t count = read(file, buffer + done, room - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += (size_t)count;
  }
  close(file);
  return (ssize_t)done;
}

/// Whether mark is one of the strings that follow each other in the buffer, each with its NUL.
static int holds(const char *buffer, size_t count, const char *mark) {
  size_t length = strlen(mark) + 1;
  for (size_t at = 0; at + length <= count;) {
    if (memcmp(buffer + at, mark, length) == 0) return 1;
    const char *end = memchr(buffer + at, 0, count - at);
    if (!end) break;
    at = (size_t)(end - buffer) + 1;
  }
  return 0;
}

/// Kills those that are there now; how many.
static int kill_marked(DIR *processes, const char *mark, char *buffer) {
  int killed = 0;
  rewinddir(processes);
  for (struct dirent *entry; (entry = readdir(processes));) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (*end || pid <= 1 || pid == getpid()) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    // Of processes of other users, and of those that have ended, nothing can be read.
    ssize_t count = read_file(path, buffer, environment_max);
    if (count > 0 && holds(buffer, (size_t)count, mark) && kill((pid_t)pid, SIGKILL) == 0) killed++;
  }
  return killed;
}

void stowage_end_marked(const char *mark) {
  DIR *processes = opendir("/proc");
  if (!processes) return;
  char *buffer = malloc(environment_max);
  // Whoever forks while the list is read is found by the next round; one that was killed needs a moment to be gone.
  for (int round = 0; buffer && round < 200 && kill_marked(processes, mark, buffer) > 0; round++) usleep(1000);
  free(buffer);
  closedir(processes);
}

size_t stowage_own_memory(pid_t pid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
  ssize_t count = read_file(path, text, sizeof text - 1);
  if (count <= 0) return 0;
  text[count] = 0;
  unsigned long size, resident, shared;
  if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3 || resident < shared) return 0;
  return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}
