// SPDX-License-Identifier: Apache-2.0
//
// @NAME@: a backing that keeps its slots in memory. Put your own storage into read and write, and say in `tier` what it
// is; include/stowage/tier.h tells what each call may count on.
#include <stowage/tier.h>

#include <string.h>

// Yours to fill in: an SPDX expression, such as "MIT".
#define LICENCE "LicenseRef-fill-in"

// One opened tier; two of them share nothing.
struct stowage_instance {
  uint64_t owner;
  uint64_t slot_count;
  size_t slot_size;
  size_t byte_count;
  uint8_t *slots;
};

static const stowage_host *host;

static int32_t fail(int32_t code, const char *why) {
  host->set_error(why, strlen(why));
  return code;
}

// ---- The slots -----------------------------------------------------------------------------------------

static int32_t capacity(stowage_instance *instance, stowage_capacity *capacity) {
  if (capacity->struct_size < sizeof *capacity) return fail(STOWAGE_INVALID, "the host's capacity has no slots_total");
  capacity->slots_total = instance->slot_count;
  return STOWAGE_OK;
}

// Where a run of slots begins; null, with the reason told, when it is not all there.
static uint8_t *run_of(stowage_instance *instance, uint64_t slot, uint32_t slot_count) {
  if (slot < instance->slot_count && slot_count <= instance->slot_count - slot)
    return instance->slots + slot * instance->slot_size;
  fail(STOWAGE_GONE, "there is no such slot");
  return NULL;
}

static int32_t read_slots(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t slot_count,
                          uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  const uint8_t *run = run_of(instance, slot, slot_count);
  if (run == NULL) return STOWAGE_GONE;
  memcpy(buffer, run, slot_count * instance->slot_size);
  return STOWAGE_OK;
}

static int32_t write_slots(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t slot_count,
                           const uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  uint8_t *run = run_of(instance, slot, slot_count);
  if (run == NULL) return STOWAGE_GONE;
  memcpy(run, buffer, slot_count * instance->slot_size);
  return STOWAGE_OK;
}

// ---- Opening and closing -------------------------------------------------------------------------------

static const stowage_option options[] = {
    {.key = "size", .help = "how much memory to hold, in bytes", .type = STOWAGE_OPTION_BYTES,
     .number_default = INT64_C(16) << 20, .number_min = STOWAGE_PAGE_BYTES_MAX, .number_max = INT64_C(1) << 40},
};

static int32_t open_instance(const stowage_open *arguments, stowage_instance **instance) {
  uint64_t owner = arguments->owner;
  stowage_instance *made = host->memory_allocate(owner, sizeof *made, _Alignof(stowage_instance), STOWAGE_MEMORY_PLAIN);
  if (made == NULL) return fail(STOWAGE_RETRY, "the host has no memory left for this tier");
  made->owner = owner;
  made->slot_size = arguments->page_size;
  made->slot_count = (uint64_t)arguments->options[0].number / arguments->page_size;
  made->byte_count = made->slot_count * made->slot_size;
  // Pages may be anybody's: memory that stays out of core dumps and is wiped when it is freed.
  made->slots = host->memory_allocate(owner, made->byte_count, 4096, STOWAGE_MEMORY_SECRET);
  if (made->slots == NULL) {
    host->memory_free(owner, made, sizeof *made, STOWAGE_MEMORY_PLAIN);
    return fail(STOWAGE_RETRY, "the host has no memory left for so many slots; choose a smaller 'size'");
  }
  *instance = made;
  return STOWAGE_OK;
}

static void close_instance(stowage_instance *instance) {
  host->memory_free(instance->owner, instance->slots, instance->byte_count, STOWAGE_MEMORY_SECRET);
  host->memory_free(instance->owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
}

// ---- What the tier says of itself ----------------------------------------------------------------------

static const stowage_backing backing = {
    .struct_size = sizeof backing, .capacity = capacity, .read = read_slots, .write = write_slots};

static const stowage_tier tier = {
    .magic = STOWAGE_TIER_MAGIC,
    .struct_size = sizeof tier,
    .abi_major = STOWAGE_ABI_MAJOR,
    .abi_minor = STOWAGE_ABI_MINOR,
    .minor_required = STOWAGE_ABI_MINOR,
    .role = STOWAGE_ROLE_BACKING,
    .lifetime = STOWAGE_LIFETIME_TRANSIENT,
    .access = STOWAGE_ACCESS_TERMINAL,
    .priority = 850,
    // Calls may run side by side: two slots have no byte in common.
    .thread_model = STOWAGE_THREADS_PARALLEL,
    .flags_optional = STOWAGE_FLAG_SWAP_SAFE,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "Slots in memory.",
    .licence = LICENCE,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .open = open_instance,
    .close = close_instance,
    .backing = &backing,
};

const stowage_tier *stowage_tier_entry(const stowage_host *given) {
  // Everything before get_extension is in every version of the host's table.
  if (given->magic != STOWAGE_HOST_MAGIC || given->struct_size < offsetof(stowage_host, get_extension)) return NULL;
  host = given;
  return &tier;
}
