// SPDX-License-Identifier: Apache-2.0
// build: missing elsewhere.c
// It depends on a library that is not there.
#include "good-plain.h"

int plain_elsewhere(void);
