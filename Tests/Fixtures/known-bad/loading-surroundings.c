// SPDX-License-Identifier: Apache-2.0
// The entry sets a signal handler.
#include <signal.h>

static void plain_ignore(int number) { (void)number; }

#define PLAIN_AT_ENTRY signal(SIGUSR1, plain_ignore);
#include "good-plain.h"
