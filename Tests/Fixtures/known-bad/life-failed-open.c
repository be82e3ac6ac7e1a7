// SPDX-License-Identifier: Apache-2.0
// *instance is set before anything can fail.
#define PLAIN_AT_OPEN *place = (stowage_instance *)(uintptr_t)64;
#include "good-plain.h"
