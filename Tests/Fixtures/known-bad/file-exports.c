// SPDX-License-Identifier: Apache-2.0
// A second function is exported.
#include "good-plain.h"

int plain_helper(int number) { return number + 1; }
