// SPDX-License-Identifier: Apache-2.0
// What the fixtures start from: every check passes on it, or is for other tiers.
#include "good-plain.h"
