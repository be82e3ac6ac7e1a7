// SPDX-License-Identifier: Apache-2.0
// It refers to fork, which it never calls.
#include <unistd.h>

static volatile int plain_never;

#define PLAIN_AT_ENTRY if (plain_never) fork();
#include "good-plain.h"
