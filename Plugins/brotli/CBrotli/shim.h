/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STOWAGE_BROTLI_SHIM_H
#define STOWAGE_BROTLI_SHIM_H

#include <brotli/decode.h>
#include <brotli/encode.h>

#endif
