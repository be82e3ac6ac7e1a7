// SPDX-License-Identifier: Apache-2.0
// The label is measured without looking whether there is one.
#include <stddef.h>

static volatile size_t plain_length;

#define PLAIN_AT_OPEN \
  if (arguments->option_count > PLAIN_LABEL) plain_length = strlen(arguments->options[PLAIN_LABEL].text);
#include "good-plain.h"
