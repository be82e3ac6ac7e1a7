// SPDX-License-Identifier: Apache-2.0
// Closing any instance ends what all of them need.
static _Atomic int plain_ready;

#define PLAIN_AT_OPEN plain_ready = 1;
#define PLAIN_AT_CLOSE plain_ready = 0;
#define PLAIN_AT_ENCODE if (!plain_ready) return plain_fail(STOWAGE_IO, "not ready");
#include "good-plain.h"
