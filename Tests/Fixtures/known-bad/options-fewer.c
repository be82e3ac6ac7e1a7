// SPDX-License-Identifier: Apache-2.0
// All values are read, however few the host gives.
#include <stdint.h>

static volatile uint32_t plain_seen;

#define PLAIN_AT_OPEN plain_seen = arguments->options[PLAIN_PASSPHRASE].given;
#include "good-plain.h"
