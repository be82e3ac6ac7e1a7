// SPDX-License-Identifier: Apache-2.0
// A transform that does not decode.
#define PLAIN_AT_ENTRY plain_transform.decode = 0;
#include "good-plain.h"
