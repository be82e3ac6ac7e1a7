/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that link this reserve at most a GiB of address space at a time, as valgrind has 128 GiB in all and a store
 * reserves about as much. What lies beyond must not be touched: for small stores only. */
#ifndef STOWAGE_SMALL_SPACE_H
#define STOWAGE_SMALL_SPACE_H

/* Bytes that a reservation is cut to. */
#define STOWAGE_SMALL_SPACE_MOST (1ul << 30)

/* Refers to this object file, so that the linker takes it. */
void stowage_use_small_space(void);

#endif
