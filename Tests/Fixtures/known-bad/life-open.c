// SPDX-License-Identifier: Apache-2.0
// open never works.
#define PLAIN_AT_OPEN return plain_fail(STOWAGE_IO, "not today");
#include "good-plain.h"
