// SPDX-License-Identifier: Apache-2.0
// struct_size is that of the first fields only.
#define PLAIN_AT_ENTRY plain_tier.struct_size = 16;
#include "good-plain.h"
