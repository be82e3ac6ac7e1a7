// SPDX-License-Identifier: Apache-2.0
// The entry takes its time.
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#define PLAIN_AT_ENTRY nanosleep(&(struct timespec){.tv_nsec = 150000000}, 0);
#include "good-plain.h"
