// SPDX-License-Identifier: Apache-2.0
// There is no such level.
#define PLAIN_AT_OPENED if (plain_host.log) plain_host.log(arguments->owner, 9, "opened", 6);
#include "good-plain.h"
