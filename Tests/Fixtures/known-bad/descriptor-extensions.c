// SPDX-License-Identifier: Apache-2.0
// get_extension gives the same for every id.
static const void *any_extension(const char *id) { return id; }

#define PLAIN_AT_ENTRY plain_tier.get_extension = any_extension;
#include "good-plain.h"
