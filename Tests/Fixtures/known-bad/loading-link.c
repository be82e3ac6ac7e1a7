// SPDX-License-Identifier: Apache-2.0
// It calls a function that no library has.
void nobody_has_this(void);
static volatile int plain_never;

#define PLAIN_AT_ENTRY if (plain_never) nobody_has_this();
#include "good-plain.h"
