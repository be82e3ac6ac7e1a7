// SPDX-License-Identifier: Apache-2.0
// build: mode 777
// Everybody can write the file.
#include "good-plain.h"
