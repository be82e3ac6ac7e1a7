// SPDX-License-Identifier: Apache-2.0
// The default is none of the choices.
#define PLAIN_AT_ENTRY plain_options[PLAIN_MODE].text_default = "odd";
#include "good-plain.h"
