// SPDX-License-Identifier: Apache-2.0
// A message has a line end.
#define PLAIN_AT_OPEN if (self.mode < 0) return plain_fail(STOWAGE_INVALID, "no such mode\n");
#include "good-plain.h"
