// SPDX-License-Identifier: Apache-2.0
// build: library has-entry.c
// Its entry is that of a library on which it depends.
#define PLAIN_NO_ENTRY
#include "good-plain.h"

__attribute__((constructor)) static void use(void) { (void)plain_entry; }
