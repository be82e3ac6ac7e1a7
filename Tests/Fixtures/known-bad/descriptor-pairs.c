// SPDX-License-Identifier: Apache-2.0
// Contexts are opened, but never closed.
#define PLAIN_AT_ENTRY plain_tier.thread_close = 0;
#include "good-plain.h"
