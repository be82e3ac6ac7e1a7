/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STOWAGE_LZ4_SHIM_H
#define STOWAGE_LZ4_SHIM_H

#include <lz4.h>

#endif
