// SPDX-License-Identifier: Apache-2.0
// get_extension is taken to be there.
#define PLAIN_AT_OPENED if (plain_host.struct_size >= sizeof plain_host) plain_host.get_extension("nobody-knows-this/1");
#include "good-plain.h"
