// SPDX-License-Identifier: Apache-2.0
// The log is taken to be there.
#define PLAIN_AT_OPENED plain_host.log(arguments->owner, STOWAGE_LOG_DEBUG, "opened", 6);
#include "good-plain.h"
