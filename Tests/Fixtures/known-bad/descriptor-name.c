// SPDX-License-Identifier: Apache-2.0
// It is named otherwise than its file.
#define PLAIN_AT_ENTRY plain_tier.name = "somebody-else";
#include "good-plain.h"
