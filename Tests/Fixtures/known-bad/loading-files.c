// SPDX-License-Identifier: Apache-2.0
// The entry opens a file and leaves it open.
#define _GNU_SOURCE
#include <fcntl.h>

#define PLAIN_AT_ENTRY if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return 0;
#include "good-plain.h"
