// SPDX-License-Identifier: Apache-2.0
//
// Clears the file before it finds that another instance has it.
#define PERSISTENT
#include "good-backing.h"

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  int32_t code = good_open(arguments, result);
  if (code != STOWAGE_RETRY || !arguments->options[0].text) return code;
  int file = open(arguments->options[0].text, O_RDWR | O_CLOEXEC);
  if (file < 0) return code;
  static const uint8_t zeros[HEAD];
  if (pwrite(file, zeros, sizeof zeros, HEAD) < 0) abort();
  close(file);
  return code;
}

FIXTURE(good_tier.open = bad_open)
