// SPDX-License-Identifier: Apache-2.0
// A library with an entry, on which a tier without one depends.
#include "../good-plain.h"
