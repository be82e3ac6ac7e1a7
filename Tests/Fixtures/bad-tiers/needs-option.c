// SPDX-License-Identifier: Apache-2.0
#include "base.h"

static const stowage_option options[] = {
    {.key = "path", .help = "file to keep pages in", .type = STOWAGE_OPTION_PATH, .flags = STOWAGE_OPTION_REQUIRED},
    {.key = "level", .help = "how hard to try", .type = STOWAGE_OPTION_NUMBER, .number_default = 3, .number_min = 1,
     .number_max = 9},
    {.key = "size", .help = "how much to keep", .type = STOWAGE_OPTION_BYTES, .number_default = 1 << 20,
     .number_min = 4096, .number_max = INT64_C(1) << 40},
    {.key = "sync", .help = "wait for the disk", .type = STOWAGE_OPTION_FLAG},
    {.key = "mode", .help = "how to go about it", .type = STOWAGE_OPTION_CHOICE, .text_default = "fast",
     .choices = (const char *const[]){"fast", "small", 0}},
    {.key = "passphrase", .help = "opens the key", .type = STOWAGE_OPTION_TEXT, .flags = STOWAGE_OPTION_SECRET,
     .text_default = "hunter2"},
    {.key = "pin", .help = "opens the door", .type = STOWAGE_OPTION_NUMBER, .flags = STOWAGE_OPTION_SECRET,
     .number_min = 0, .number_max = 9},
};

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  (void)host;
  base_tier.options = options;
  base_tier.option_count = sizeof options / sizeof options[0];
  return &base_tier;
}
