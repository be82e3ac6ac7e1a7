// SPDX-License-Identifier: Apache-2.0
// The label is kept and read later.
static const char *volatile plain_label;
static volatile char plain_first;

#define PLAIN_AT_OPENED plain_label = plain_text(arguments, PLAIN_LABEL);
#define PLAIN_AT_ENCODE plain_first = *plain_label;
#include "good-plain.h"
