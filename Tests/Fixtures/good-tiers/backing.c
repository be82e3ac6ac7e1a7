// SPDX-License-Identifier: Apache-2.0
//
// Keeps every rule; the tests build it in all the ways that the header knows.
#include "../known-bad/good-backing.h"

FIXTURE()
