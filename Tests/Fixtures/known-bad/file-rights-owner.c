// SPDX-License-Identifier: Apache-2.0
//
// build: check file-rights
// build: owner 65534
// The file belongs to another user.
#include "good-plain.h"
