// SPDX-License-Identifier: Apache-2.0
//
// @NAME@: a transform that shortens runs of equal bytes. Put your own codec into encode and decode, and say in `tier`
// what it is; include/stowage/tier.h tells what each call may count on.
#include <stowage/tier.h>

#include <string.h>

// Yours to fill in: an SPDX expression, such as "MIT".
#define LICENCE "LicenseRef-fill-in"

// One opened tier; two of them share nothing.
struct stowage_instance {
  uint64_t owner;
  size_t run_min;
};

static const stowage_host *host;

static int32_t fail(int32_t code, const char *why) {
  host->set_error(why, strlen(why));
  return code;
}

// ---- The codec -----------------------------------------------------------------------------------------
//
// A control byte below 128 stands before that many bytes and one more, as they are. One from 128 on stands before a
// single byte that is repeated as often as the control byte says, less 125: 3 to 130 times.

#define RUN_MIN 3
#define RUN_MAX 130
#define PLAIN_MAX 128

static size_t run_at(const uint8_t *bytes, size_t length) {
  size_t run = 1;
  while (run < length && run < RUN_MAX && bytes[run] == bytes[0]) run++;
  return run;
}

static int32_t encode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                      const uint8_t *input, uint8_t *output, size_t output_room, size_t *output_length,
                      uint8_t *sidecar) {
  (void)context, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < object->length) {
    size_t run = run_at(input + at, object->length - at);
    if (run >= instance->run_min) {
      if (output_room - out < 2) return STOWAGE_TOO_BIG;
      output[out++] = (uint8_t)(run + 125);
      output[out++] = input[at];
      at += run;
      continue;
    }
    // Bytes as they are, up to the next run.
    size_t end = at;
    while (end < object->length && end - at < PLAIN_MAX && run_at(input + end, object->length - end) < instance->run_min)
      end++;
    if (output_room - out < 1 + end - at) return STOWAGE_TOO_BIG;
    output[out++] = (uint8_t)(end - at - 1);
    memcpy(output + out, input + at, end - at);
    out += end - at;
    at = end;
  }
  *output_length = out;
  return STOWAGE_OK;
}

// The input may be damaged: nothing in it is believed before it is compared with what is there.
static int32_t decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                      const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  (void)instance, (void)context, (void)sidecar;
  size_t at = 0, out = 0;
  while (at < input_length) {
    uint8_t control = input[at++];
    int is_run = control >= PLAIN_MAX;
    size_t count = is_run ? control - 125u : control + 1u;
    if (count > object->length - out) return fail(STOWAGE_CORRUPT, "the input holds more than the object is long");
    if ((is_run ? 1 : count) > input_length - at) return fail(STOWAGE_CORRUPT, "the input ends too early");
    if (is_run) {
      memset(output + out, input[at++], count);
    } else {
      memcpy(output + out, input + at, count);
      at += count;
    }
    out += count;
  }
  return out == object->length ? STOWAGE_OK : fail(STOWAGE_CORRUPT, "the input holds less than the object is long");
}

// ---- Opening and closing -------------------------------------------------------------------------------

static const stowage_option options[] = {
    {.key = "run-min", .help = "the shortest run that is shortened, in bytes", .type = STOWAGE_OPTION_NUMBER,
     .number_default = RUN_MIN, .number_min = RUN_MIN, .number_max = RUN_MAX},
};

static int32_t open_instance(const stowage_open *arguments, stowage_instance **instance) {
  stowage_instance *made =
      host->memory_allocate(arguments->owner, sizeof *made, _Alignof(stowage_instance), STOWAGE_MEMORY_PLAIN);
  if (made == NULL) return fail(STOWAGE_RETRY, "the host has no memory left for this tier");
  made->owner = arguments->owner;
  made->run_min = (size_t)arguments->options[0].number;
  *instance = made;
  return STOWAGE_OK;
}

static void close_instance(stowage_instance *instance) {
  host->memory_free(instance->owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
}

// ---- What the tier says of itself ----------------------------------------------------------------------

static const stowage_transform transform = {.struct_size = sizeof transform, .encode = encode, .decode = decode};

static const stowage_tier tier = {
    .magic = STOWAGE_TIER_MAGIC,
    .struct_size = sizeof tier,
    .abi_major = STOWAGE_ABI_MAJOR,
    .abi_minor = STOWAGE_ABI_MINOR,
    .minor_required = STOWAGE_ABI_MINOR,
    .role = STOWAGE_ROLE_TRANSFORM,
    .lifetime = STOWAGE_LIFETIME_TRANSIENT,
    .access = STOWAGE_ACCESS_TERMINAL,
    .priority = 150,
    // Calls may run side by side: nothing changes in an instance after it was opened.
    .thread_model = STOWAGE_THREADS_PARALLEL,
    .flags_optional = STOWAGE_FLAG_SWAP_SAFE | STOWAGE_FLAG_DETERMINISTIC,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "Shortens runs of equal bytes.",
    .licence = LICENCE,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .open = open_instance,
    .close = close_instance,
    .transform = &transform,
};

const stowage_tier *stowage_tier_entry(const stowage_host *given) {
  // Everything before get_extension is in every version of the host's table.
  if (given->magic != STOWAGE_HOST_MAGIC || given->struct_size < offsetof(stowage_host, get_extension)) return NULL;
  host = given;
  return &tier;
}
