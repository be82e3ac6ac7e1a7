// SPDX-License-Identifier: Apache-2.0
// It has no entry.
#define PLAIN_NO_ENTRY
#include "good-plain.h"

__attribute__((constructor)) static void use(void) { (void)plain_entry; }
