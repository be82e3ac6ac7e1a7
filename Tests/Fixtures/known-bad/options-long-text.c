// SPDX-License-Identifier: Apache-2.0
// The label is copied to where only a short one fits.
#include <signal.h>

#define PLAIN_AT_OPEN \
  static char label[64]; \
  size_t length = strlen(plain_text(arguments, PLAIN_LABEL)); \
  if (length > 4095) raise(SIGSEGV); \
  memcpy(label, plain_text(arguments, PLAIN_LABEL), length < 64 ? length : 63);
#include "good-plain.h"
