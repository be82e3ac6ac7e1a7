// SPDX-License-Identifier: Apache-2.0
// Two options have one key.
#define PLAIN_AT_ENTRY plain_options[PLAIN_WINDOW].key = "level";
#include "good-plain.h"
