// SPDX-License-Identifier: Apache-2.0
int no_entry_here(void) { return 0; }
