// SPDX-License-Identifier: Apache-2.0
// The sidecar is too long.
#define PLAIN_AT_ENTRY plain_transform.sidecar_length = STOWAGE_SIDECAR_BYTES_MAX + 1;
#include "good-plain.h"
