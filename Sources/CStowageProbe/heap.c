// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include "stowage_probe.h"

size_t stowage_heap_bytes(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}
