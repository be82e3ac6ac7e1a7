// SPDX-License-Identifier: Apache-2.0
// It opens under its own name only.
#define PLAIN_AT_OPEN if (strcmp(arguments->instance_name, FIXTURE_NAME) != 0) return plain_fail(STOWAGE_INVALID, "not my name");
#include "good-plain.h"
