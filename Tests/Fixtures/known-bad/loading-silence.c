// SPDX-License-Identifier: Apache-2.0
// The entry prints a greeting.
#define PLAIN_AT_ENTRY puts("the plain tier is here");
#include "good-plain.h"
