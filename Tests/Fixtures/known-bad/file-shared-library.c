// SPDX-License-Identifier: Apache-2.0
// build: cut 6000
// The file ends too early.
#include "good-plain.h"
