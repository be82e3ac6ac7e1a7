// SPDX-License-Identifier: Apache-2.0

// A backing that keeps its slots in memory.
#include <stowage/tier-helpers.h>

struct stowage_instance { STOWAGE_INSTANCE size_t size; uint8_t *slots; };

static const stowage_option options[] = {
    STOWAGE_BYTES("size", "how much memory to hold, in bytes", 16 << 20, 65536, INT64_C(1) << 40)};

static int32_t open_memory(stowage_instance *self, const stowage_open *arguments) {
  self->size = (size_t)arguments->options[0].number / self->page_size * self->page_size;
  self->slots = (uint8_t *)stowage_allocate(self->owner, self->size, 4096, STOWAGE_MEMORY_SECRET);
  return self->slots == NULL ? STOWAGE_RETRY : STOWAGE_OK;
}

static void close_memory(stowage_instance *self) {
  stowage_free(self->owner, self->slots, self->size, STOWAGE_MEMORY_SECRET);
}

static int32_t count(stowage_instance *self, stowage_capacity *capacity) {
  capacity->slots_total = self->size / self->page_size;
  return STOWAGE_OK;
}

static int32_t load(stowage_instance *self, stowage_context *context, uint64_t slot, uint32_t slot_count,
                    uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  int32_t result = stowage_check_run(slot, slot_count, self->size / self->page_size);
  if (result == STOWAGE_OK) memcpy(buffer, self->slots + slot * self->page_size, (size_t)slot_count * self->page_size);
  return result;
}

static int32_t store(stowage_instance *self, stowage_context *context, uint64_t slot, uint32_t slot_count,
                     const uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  int32_t result = stowage_check_run(slot, slot_count, self->size / self->page_size);
  if (result == STOWAGE_OK) memcpy(self->slots + slot * self->page_size, buffer, (size_t)slot_count * self->page_size);
  return result;
}

STOWAGE_BACKING(open_memory, close_memory, count, load, store) {
  (void)backing, stowage_introduce(tier, "golden-memory", "1.0.0", "Slots in memory.", 850);
  stowage_attributes(tier, STOWAGE_ACCESS_TERMINAL, STOWAGE_THREADS_PARALLEL, STOWAGE_FLAG_SWAP_SAFE);
  STOWAGE_OPTIONS(tier, options);
}
