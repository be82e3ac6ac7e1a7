// SPDX-License-Identifier: Apache-2.0
// A byte that begins no character ends the process.
#include <signal.h>

static void plain_check(const char *text) {
  for (int left = 0; *text; text++) {
    int isLater = ((unsigned char)*text & 0xC0) == 0x80;
    if (isLater && left == 0) raise(SIGABRT);
    left = isLater ? left - 1 : (unsigned char)*text >= 0xE0 ? 2 : (unsigned char)*text >= 0xC0;
  }
}

#define PLAIN_AT_OPEN plain_check(plain_text(arguments, PLAIN_LABEL));
#include "good-plain.h"
