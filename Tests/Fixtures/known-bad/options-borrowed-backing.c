// SPDX-License-Identifier: Apache-2.0
//
// build: check options-borrowed
// The path is kept and read later.
#define PERSISTENT
#include "good-backing.h"

static const char *volatile path;
static volatile char first;

static int32_t bad_open(const stowage_open *arguments, stowage_instance **result) {
  path = arguments->options[0].text;
  return good_open(arguments, result);
}

static int32_t bad_write(WRITE_PARAMETERS) {
  first = *path;
  return good_write(WRITE_ARGUMENTS);
}

FIXTURE(good_tier.open = bad_open, good_table.write = bad_write)
