// SPDX-License-Identifier: Apache-2.0
// What one optional function does not give, the other is taken to give.
#define PLAIN_AT_OPENED \
  if (plain_host.log) plain_host.log(arguments->owner, STOWAGE_LOG_DEBUG, "opened", 6); \
  else plain_host.get_extension("nobody-knows-this/1");
#include "good-plain.h"
