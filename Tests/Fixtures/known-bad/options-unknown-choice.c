// SPDX-License-Identifier: Apache-2.0
// An empty choice is looked up before the first.
static const volatile int *volatile plain_nothing;

#define PLAIN_AT_OPEN \
  if (arguments->option_count > PLAIN_MODE && arguments->options[PLAIN_MODE].text && !*arguments->options[PLAIN_MODE].text) \
    self.mode = *plain_nothing;
#include "good-plain.h"
