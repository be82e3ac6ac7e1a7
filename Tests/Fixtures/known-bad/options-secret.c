// SPDX-License-Identifier: Apache-2.0
// A failed open shows the passphrase.
#define PLAIN_AT_OPEN \
  if (!plain_in_range(self.level, PLAIN_LEVEL) && *plain_text(arguments, PLAIN_PASSPHRASE)) \
    return plain_fail(STOWAGE_INVALID, plain_text(arguments, PLAIN_PASSPHRASE));
#include "good-plain.h"
