// SPDX-License-Identifier: Apache-2.0
// It asks for the arguments of exactly this version.
#define PLAIN_AT_OPEN if (arguments->struct_size != sizeof *arguments) return plain_fail(STOWAGE_INVALID, "other arguments");
#include "good-plain.h"
