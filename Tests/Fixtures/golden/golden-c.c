// SPDX-License-Identifier: Apache-2.0
//
// A transform that uses much of the interface: an option, contexts, a sidecar, saved state and health. It adds a number
// to every byte and keeps their sum beside them.
#include <stowage/tier.h>

#include <string.h>

struct stowage_instance {
  uint64_t owner;
  uint8_t add;
};

struct stowage_context {
  uint64_t calls;
};

static const stowage_host *host;

static int32_t fail(int32_t code, const char *why) {
  host->set_error(why, strlen(why));
  return code;
}

static uint32_t sum(const uint8_t *bytes, size_t length) {
  uint32_t sum = 1;
  for (size_t at = 0; at < length; at++) sum = sum * 31 + bytes[at];
  return sum;
}

static int32_t encode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                      const uint8_t *input, uint8_t *output, size_t output_room, size_t *output_length,
                      uint8_t *sidecar) {
  context->calls++;
  if (output_room < object->length) return STOWAGE_TOO_BIG;
  uint32_t check = sum(input, object->length) + (uint32_t)object->id;
  memcpy(sidecar, &check, sizeof check);
  for (uint32_t at = 0; at < object->length; at++) output[at] = (uint8_t)(input[at] + instance->add);
  *output_length = object->length;
  return STOWAGE_OK;
}

static int32_t decode(stowage_instance *instance, stowage_context *context, const stowage_object *object,
                      const uint8_t *input, size_t input_length, uint8_t *output, const uint8_t *sidecar) {
  context->calls++;
  if (input_length != object->length) return fail(STOWAGE_CORRUPT, "another length");
  for (size_t at = 0; at < input_length; at++) output[at] = (uint8_t)(input[at] - instance->add);
  uint32_t check;
  memcpy(&check, sidecar, sizeof check);
  return check == sum(output, input_length) + (uint32_t)object->id ? STOWAGE_OK : fail(STOWAGE_CORRUPT, "another sum");
}

static int32_t open_instance(const stowage_open *arguments, stowage_instance **instance) {
  stowage_instance *made = host->memory_allocate(arguments->owner, sizeof *made, 16, STOWAGE_MEMORY_PLAIN);
  if (made == NULL) return fail(STOWAGE_RETRY, "no memory");
  made->owner = arguments->owner;
  made->add = (uint8_t)arguments->options[0].number;
  *instance = made;
  return STOWAGE_OK;
}

static void close_instance(stowage_instance *instance) {
  host->memory_free(instance->owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
}

static int32_t thread_open(stowage_instance *instance, uint32_t use, stowage_context **context) {
  (void)use;
  *context = host->memory_allocate(instance->owner, sizeof **context, 64, STOWAGE_MEMORY_SECRET);
  return *context == NULL ? fail(STOWAGE_RETRY, "no memory") : STOWAGE_OK;
}

static void thread_close(stowage_instance *instance, stowage_context *context) {
  host->memory_free(instance->owner, context, sizeof *context, STOWAGE_MEMORY_SECRET);
}

static int32_t state_save(stowage_instance *instance, uint8_t *state, size_t room, size_t *length) {
  *length = 1;
  if (room < 1) return STOWAGE_TOO_BIG;
  state[0] = instance->add;
  return STOWAGE_OK;
}

static int32_t state_load(stowage_instance *instance, const uint8_t *state, size_t length) {
  if (length != 1) return fail(STOWAGE_CORRUPT, "a state is one byte");
  instance->add = state[0];
  return STOWAGE_OK;
}

static int32_t health(stowage_instance *instance, stowage_health *health) {
  (void)instance;
  static const char text[] = "old, but well";
  if (health->struct_size < offsetof(stowage_health, message)) return STOWAGE_INVALID;
  health->state = STOWAGE_HEALTH_DEGRADED;
  size_t room = health->struct_size - offsetof(stowage_health, message);
  if (room > 0) memcpy(health->message, room < sizeof text ? "" : text, room < sizeof text ? 1 : sizeof text);
  return STOWAGE_OK;
}

static const stowage_option options[] = {
    {"add", "what to add to every byte", STOWAGE_OPTION_NUMBER, 0, 7, 0, 255, NULL, NULL}};

static const stowage_transform transform = {sizeof transform, 4, encode, decode};

static const stowage_tier tier = {
    .magic = STOWAGE_TIER_MAGIC, .struct_size = sizeof tier, .abi_major = STOWAGE_ABI_MAJOR,
    .abi_minor = STOWAGE_ABI_MINOR, .minor_required = STOWAGE_ABI_MINOR, .role = STOWAGE_ROLE_TRANSFORM,
    .lifetime = STOWAGE_LIFETIME_TRANSIENT, .access = STOWAGE_ACCESS_TRANSPARENT, .priority = 500,
    .thread_model = STOWAGE_THREADS_PARALLEL, .flags_optional = STOWAGE_FLAG_LENGTH_PRESERVING, .name = "golden-c",
    .version = "1.0.0", .summary = "Adds a number.", .licence = "Apache-2.0", .options = options, .option_count = 1,
    .option_size = sizeof options[0], .open = open_instance, .close = close_instance, .thread_open = thread_open,
    .thread_close = thread_close, .state_save = state_save, .state_load = state_load, .health = health,
    .transform = &transform};

const stowage_tier *stowage_tier_entry(const stowage_host *given) {
  host = given;
  return &tier;
}
