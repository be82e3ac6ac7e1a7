// SPDX-License-Identifier: Apache-2.0
//
// A context for encoding alone is not ready for it.
#include "good-transform.h"

static int32_t bad_encode(ENCODE_PARAMETERS) {
  if (context->use == STOWAGE_CONTEXT_ENCODE) return good_say(STOWAGE_INVALID, "the context is not ready");
  return good_encode(ENCODE_ARGUMENTS);
}

FIXTURE(good_table.encode = bad_encode)
