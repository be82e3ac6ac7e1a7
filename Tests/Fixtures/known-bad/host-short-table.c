// SPDX-License-Identifier: Apache-2.0
// get_extension is read beyond the end of a shorter table.
#include <stowage/tier.h>

static const stowage_host *plain_given;

#define PLAIN_AT_ENTRY plain_given = host;
#define PLAIN_AT_OPENED if (plain_given->get_extension) plain_given->get_extension("nobody-knows-this/1");
#include "good-plain.h"
