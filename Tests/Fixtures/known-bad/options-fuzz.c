// SPDX-License-Identifier: Apache-2.0
// The highest level and the strict flag together end the process.
#include <signal.h>

#define PLAIN_AT_OPEN if (self.level == 9 && self.strict == 1) raise(SIGABRT);
#include "good-plain.h"
