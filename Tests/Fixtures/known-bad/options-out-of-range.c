// SPDX-License-Identifier: Apache-2.0
// Twice the level is an index into a table, unchecked.
#define PLAIN_AT_OPEN \
  static const int *volatile steps; \
  if (self.level > 1000000) self.window = steps[self.level * 2];
#include "good-plain.h"
