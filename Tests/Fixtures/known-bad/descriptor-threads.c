// SPDX-License-Identifier: Apache-2.0
// There is no such thread model.
#define PLAIN_AT_ENTRY plain_tier.thread_model = 0;
#include "good-plain.h"
