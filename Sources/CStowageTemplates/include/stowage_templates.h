// SPDX-License-Identifier: Apache-2.0
#ifndef STOWAGE_TEMPLATES_H
#define STOWAGE_TEMPLATES_H

#include <stddef.h>

/// A file of the plug-in kit, as it was when this program was built.
typedef struct stowage_template_file {
  /// Below plugin-sdk.
  const char *_Nonnull path;
  const unsigned char *_Nonnull bytes;
  size_t byte_count;
} stowage_template_file;

size_t stowage_template_file_count(void);

/// The file of a number below the count. Lives for ever.
const stowage_template_file *_Nonnull stowage_template_file_at(size_t index);

#endif
