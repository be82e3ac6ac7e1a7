// SPDX-License-Identifier: Apache-2.0
// A library on which fixtures depend.
int plain_elsewhere(void) { return 0; }
