// SPDX-License-Identifier: Apache-2.0

// A transform with an option: flips the same bits in every byte. No cipher, but shaped like one.
#include <stowage/tier-helpers.h>

struct stowage_instance { STOWAGE_INSTANCE uint8_t mask; };

static const stowage_option options[] = {STOWAGE_NUMBER("mask", "the bits to flip", 255, 0, 255)};

static int32_t open_xor(stowage_instance *self, const stowage_open *arguments) {
  self->mask = (uint8_t)arguments->options[0].number;
  return STOWAGE_OK;
}

static int32_t flip(const stowage_instance *self, const uint8_t *input, uint8_t *output, size_t length) {
  for (size_t at = 0; at < length; at++) output[at] = input[at] ^ self->mask;
  return STOWAGE_OK;
}

static int32_t encode(stowage_instance *self, const stowage_encoding *job, size_t *length) {
  if (job->room < job->length) return STOWAGE_TOO_BIG;
  return flip(self, job->input, job->output, *length = job->length);
}

static int32_t decode(stowage_instance *self, const stowage_decoding *job) {
  if (job->input_length != job->length) return stowage_fail(STOWAGE_CORRUPT, "the input has another length than the object");
  return flip(self, job->input, job->output, job->length);
}

STOWAGE_TRANSFORM(open_xor, stowage_close_nothing, encode, decode) {
  (void)transform, stowage_introduce(tier, "xor", "1.0.0", "Flips bits.", 60);
  stowage_attributes(tier, STOWAGE_ACCESS_TRANSPARENT, STOWAGE_THREADS_PARALLEL, STOWAGE_FLAG_LENGTH_PRESERVING);
  STOWAGE_OPTIONS(tier, options);
}
