// SPDX-License-Identifier: Apache-2.0
//
// A tier that offers stowage.tier.describe/1, well or badly: the build says which.
#include "../bad-tiers/base.h"

#include <stowage/extensions.h>

#define TEXT "libshelf 1.2, 4 lanes"

static int32_t describe(char *text, size_t room, size_t *length) {
#if defined(CRASHES)
  *(volatile int *)16 = 1;
#elif defined(FAILS)
  return STOWAGE_IO;
#elif defined(TOO_LONG)
  *length = room + 1;
  return STOWAGE_OK;
#elif defined(ODD)
  memcpy(text, "a\033[2J\xFF", 6);
  *length = 6;
  return STOWAGE_OK;
#endif
  if (room < sizeof TEXT) return STOWAGE_TOO_BIG;
  memcpy(text, TEXT, sizeof TEXT - 1);
  *length = sizeof TEXT - 1;
  return STOWAGE_OK;
}

static stowage_describe_extension description = {.struct_size = sizeof description, .describe = describe};

__attribute__((unused)) static const void *get_extension(const char *id) {
  return strcmp(id, STOWAGE_EXTENSION_DESCRIBE) == 0 ? &description : NULL;
}

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
#if defined(SHORT)
  description.struct_size = 8;
#elif defined(ABSENT)
  description.describe = NULL;
#endif
#if !defined(NOTHING)
  base_tier.get_extension = get_extension;
#endif
  return &base_tier;
}
