// SPDX-License-Identifier: Apache-2.0
// The entry gives no descriptor.
#define PLAIN_AT_ENTRY return 0;
#include "good-plain.h"
