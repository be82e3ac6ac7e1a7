// SPDX-License-Identifier: Apache-2.0
// What random_fill answers is not looked at.
#define PLAIN_AT_OPENED uint8_t salt[16]; plain_host.random_fill(salt, sizeof salt);
#include "good-plain.h"
