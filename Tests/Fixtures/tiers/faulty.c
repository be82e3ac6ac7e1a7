// SPDX-License-Identifier: Apache-2.0
// A backing in memory that fails as it is told. Its name says which form it takes: with "async" it offers submit,
// with "mapped" map, with "context" contexts, with "serial" it stands one call at a time, with "transient" it is not
// persistent.
#include "faulty.h"

enum {
  SLOTS, READ_CODE, READ_CHARGES, READ_SLOT, WRITE_CODE, WRITE_CHARGES, SYNC_CODE, FLIP_CHARGES, FLIP_SLOT,
  LOSE_CHARGES, MISDIRECT_CHARGES, MISDIRECT_TO, READ_DELAY_US, WRITE_DELAY_US, HANG_READ, HANG_SLOT, HANG_WRITE,
  HANG_TRIM, HANG_SYNC, SILENT, HANG_CAPACITY, HEALTH_STATE, HANG_MAP, HANG_SUBMIT, CONTEXT_CODE,
  // What it counts.
  READS = 32, WRITES, SLOTS_WRITTEN, TRIMS, SYNCS, HANGING, VIOLATIONS, OPENS, CLOSES, INSIDE, INSIDE_MOST, DEAD_CALLS,
  CAPACITIES, ASKED, CONTEXTS
};

#define SLOTS_MAX 65536

typedef struct {
  block *control;
  size_t page;
  uint8_t *memory;
  int serial;
  // The asynchronous form: what waits, and the thread that does it.
  pthread_t thread;
  pthread_mutex_t lock;
  stowage_request *waiting[256];
  int count;
  int stopping;
  int has_thread;
} instance;

// For the test: whether some bytes stand anywhere in the slots.
__attribute__((visibility("default"))) int faulty_contains(const char *name, const void *bytes, size_t count,
                                                           size_t room) {
  return memmem(find_block(name)->memory, room, bytes, count) != NULL;
}

static void enter(instance *self) {
  int64_t inside = add(self->control, INSIDE, 1);
  if (inside > get(self->control, INSIDE_MOST)) set(self->control, INSIDE_MOST, inside);
  if (self->serial && inside > 1) add(self->control, VIOLATIONS, 1);
}

static void leave(instance *self) { add(self->control, INSIDE, -1); }

static void check_slots(instance *self, uint64_t slot, uint32_t count) {
  if (slot + count > (uint64_t)get(self->control, SLOTS)) add(self->control, VIOLATIONS, 1);
}

// Whether this call must wait now.
static int hangs(instance *self, uint32_t operation, uint64_t slot, uint32_t count) {
  block *b = self->control;
  int64_t only = get(b, HANG_SLOT);
  if (only >= 0 && ((uint64_t)only < slot || (uint64_t)only >= slot + count)) return 0;
  switch (operation) {
    case STOWAGE_OPERATION_READ: return get(b, HANG_READ) != 0;
    case STOWAGE_OPERATION_WRITE: return get(b, HANG_WRITE) != 0;
    case STOWAGE_OPERATION_TRIM: return get(b, HANG_TRIM) != 0;
    default: return get(b, HANG_SYNC) != 0;
  }
}

static int32_t fail(instance *self, int code_knob, const char *text) {
  return fail_as(self->control, code_knob, SILENT, text);
}

static int32_t do_read(instance *self, uint64_t slot, uint32_t count, uint8_t *buffer) {
  block *b = self->control;
  add(b, READS, 1);
  if (slot + count > SLOTS_MAX) return STOWAGE_INVALID;
  int64_t only = get(b, READ_SLOT);
  int touched = only < 0 || ((uint64_t)only >= slot && (uint64_t)only < slot + count);
  if (touched && get(b, READ_CODE) != 0 && charged(b, READ_CHARGES)) {
    return fail(self, READ_CODE, "told to fail reading");
  }
  memcpy(buffer, self->memory + slot * self->page, count * self->page);
  only = get(b, FLIP_SLOT);
  if (only >= 0 && (uint64_t)only >= slot && (uint64_t)only < slot + count && charged(b, FLIP_CHARGES))
    buffer[((uint64_t)only - slot) * self->page + 100] ^= 4;
  return STOWAGE_OK;
}

static int32_t do_write(instance *self, uint64_t slot, uint32_t count, const uint8_t *buffer) {
  block *b = self->control;
  add(b, WRITES, 1);
  check_slots(self, slot, count);
  if (slot + count > SLOTS_MAX) return STOWAGE_INVALID;
  if (get(b, WRITE_CODE) != 0 && charged(b, WRITE_CHARGES)) {
    // "After an error the slots hold anything."
    memset(self->memory + slot * self->page, 0xEE, count * self->page);
    return fail(self, WRITE_CODE, "told to fail writing");
  }
  add(b, SLOTS_WRITTEN, count);
  for (uint32_t i = 0; i < count; i++) {
    uint64_t to = slot + i;
    if (charged(b, LOSE_CHARGES)) continue;
    if (charged(b, MISDIRECT_CHARGES)) to = (uint64_t)get(b, MISDIRECT_TO);
    memcpy(self->memory + to * self->page, buffer + i * self->page, self->page);
  }
  return STOWAGE_OK;
}

static int32_t do_trim(instance *self, uint64_t slot, uint32_t count) {
  add(self->control, TRIMS, 1);
  check_slots(self, slot, count);
  if (slot + count <= SLOTS_MAX) memset(self->memory + slot * self->page, 0xDD, count * self->page);
  return STOWAGE_OK;
}

static int32_t do_sync(instance *self) {
  add(self->control, SYNCS, 1);
  if (get(self->control, SYNC_CODE) != 0) return fail(self, SYNC_CODE, "told to fail syncing");
  return STOWAGE_OK;
}

static void be_slow(instance *self, uint32_t operation) {
  if (operation == STOWAGE_OPERATION_READ) wait_us(self->control, READ_DELAY_US);
  if (operation == STOWAGE_OPERATION_WRITE) wait_us(self->control, WRITE_DELAY_US);
}

static void wait_while_hung(instance *self, uint32_t operation, uint64_t slot, uint32_t count) {
  block *b = self->control;
  be_slow(self, operation);
  if (!hangs(self, operation, slot, count)) return;
  add(b, HANGING, 1);
  while (hangs(self, operation, slot, count)) usleep(500);
  add(b, HANGING, -1);
}

static void wait_for(instance *self, int knob) {
  if (!get(self->control, knob)) return;
  add(self->control, ASKED, 1);
  while (get(self->control, knob)) usleep(500);
  add(self->control, ASKED, -1);
}

static int32_t perform(instance *self, stowage_request *request) {
  switch (request->operation) {
    case STOWAGE_OPERATION_READ: return do_read(self, request->slot, request->slot_count, request->buffer);
    case STOWAGE_OPERATION_WRITE: return do_write(self, request->slot, request->slot_count, request->buffer);
    case STOWAGE_OPERATION_TRIM: return do_trim(self, request->slot, request->slot_count);
    default: return do_sync(self);
  }
}

// ---- The plain form ----

static int32_t backing_capacity(stowage_instance *raw, stowage_capacity *capacity) {
  instance *self = (instance *)raw;
  enter(self);
  add(self->control, CAPACITIES, 1);
  wait_for(self, HANG_CAPACITY);
  capacity->slots_total = (uint64_t)get(self->control, SLOTS);
  leave(self);
  return STOWAGE_OK;
}

static int32_t backing_read(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count,
                            uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  instance *self = (instance *)raw;
  enter(self);
  wait_while_hung(self, STOWAGE_OPERATION_READ, slot, count);
  int32_t result = do_read(self, slot, count, buffer);
  leave(self);
  return result;
}

static int32_t backing_write(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count,
                             const uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  instance *self = (instance *)raw;
  enter(self);
  wait_while_hung(self, STOWAGE_OPERATION_WRITE, slot, count);
  int32_t result = do_write(self, slot, count, buffer);
  leave(self);
  return result;
}

static int32_t backing_trim(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count) {
  (void)context;
  instance *self = (instance *)raw;
  enter(self);
  wait_while_hung(self, STOWAGE_OPERATION_TRIM, slot, count);
  int32_t result = do_trim(self, slot, count);
  leave(self);
  return result;
}

static int32_t backing_sync(stowage_instance *raw, stowage_context *context) {
  (void)context;
  instance *self = (instance *)raw;
  enter(self);
  wait_while_hung(self, STOWAGE_OPERATION_SYNC, 0, 0);
  int32_t result = do_sync(self);
  leave(self);
  return result;
}

static const uint8_t *backing_map(stowage_instance *raw, uint64_t slot) {
  instance *self = (instance *)raw;
  enter(self);
  wait_for(self, HANG_MAP);
  leave(self);
  return self->memory + slot * self->page;
}

static int32_t tier_health(stowage_instance *raw, stowage_health *health) {
  instance *self = (instance *)raw;
  enter(self);
  int32_t result = tell_health(self->control, HEALTH_STATE, health);
  leave(self);
  return result;
}

static int32_t backing_root_read(stowage_instance *raw, uint8_t *root, size_t room, size_t *length) {
  (void)raw, (void)root, (void)room;
  *length = 0;
  return STOWAGE_OK;
}

static int32_t backing_root_swap(stowage_instance *raw, const uint8_t *expected, size_t expected_length,
                                 const uint8_t *new_root, size_t new_length) {
  (void)raw, (void)expected, (void)expected_length, (void)new_root, (void)new_length;
  return STOWAGE_UNSUPPORTED;
}

// ---- The asynchronous form: a thread does what is not told to hang; the rest waits in the list ----

static void *serve(void *raw) {
  instance *self = raw;
  for (;;) {
    stowage_request *ready = NULL;
    int hanging = 0;
    pthread_mutex_lock(&self->lock);
    for (int i = 0; i < self->count; i++) {
      stowage_request *request = self->waiting[i];
      if (hangs(self, request->operation, request->slot, request->slot_count)) {
        hanging++;
      } else if (!ready) {
        ready = request;
        memmove(self->waiting + i, self->waiting + i + 1, (size_t)(self->count - i - 1) * sizeof ready);
        self->count--;
        i--;
      }
    }
    set(self->control, HANGING, hanging);
    int stop = self->stopping && self->count == 0 && !ready;
    pthread_mutex_unlock(&self->lock);
    if (stop) return NULL;
    if (!ready) {
      usleep(100);
      continue;
    }
    be_slow(self, ready->operation);
    ready->complete(ready, perform(self, ready));
  }
}

static int32_t backing_submit(stowage_instance *raw, stowage_context *context, stowage_request *const *requests,
                              uint32_t count, uint32_t *taken) {
  (void)context;
  instance *self = (instance *)raw;
  uint32_t done = 0;
  wait_for(self, HANG_SUBMIT);
  pthread_mutex_lock(&self->lock);
  while (done < count && self->count < 256) self->waiting[self->count++] = requests[done++];
  pthread_mutex_unlock(&self->lock);
  *taken = done;
  return STOWAGE_OK;
}

// ---- Opening and closing ----

static int32_t tier_open(const stowage_open *arguments, stowage_instance **result) {
  instance *self = calloc(1, sizeof *self);
  block *b = find_block(arguments->instance_name);
  self->control = b;
  self->page = arguments->page_size;
  self->serial = has("serial");
  self->memory = mmap(NULL, SLOTS_MAX * self->page, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  b->memory = self->memory;
  pthread_mutex_init(&self->lock, NULL);
  if (has("async")) {
    pthread_create(&self->thread, NULL, serve, self);
    self->has_thread = 1;
  }
  add(b, OPENS, 1);
  *result = (stowage_instance *)self;
  return STOWAGE_OK;
}

static void tier_close(stowage_instance *raw) {
  instance *self = (instance *)raw;
  // "No call is running, every request completed."
  if (get(self->control, INSIDE) > 0 || self->count > 0) add(self->control, VIOLATIONS, 1);
  pthread_mutex_lock(&self->lock);
  self->stopping = 1;
  pthread_mutex_unlock(&self->lock);
  if (self->has_thread) pthread_join(self->thread, NULL);
  self->control->memory = NULL;
  munmap(self->memory, SLOTS_MAX * self->page);
  add(self->control, CLOSES, 1);
  free(self);
}

static int32_t tier_thread_open(stowage_instance *raw, uint32_t use, stowage_context **result) {
  (void)use;
  instance *self = (instance *)raw;
  if (get(self->control, CONTEXT_CODE) != 0) return fail(self, CONTEXT_CODE, "told to fail opening a context");
  add(self->control, CONTEXTS, 1);
  *result = (stowage_context *)self;
  return STOWAGE_OK;
}

static void tier_thread_close(stowage_instance *raw, stowage_context *context) {
  (void)context;
  add(((instance *)raw)->control, CONTEXTS, -1);
}

static stowage_backing backing = {
    .struct_size = sizeof(stowage_backing),
    .capacity = backing_capacity,
    .read = backing_read,
    .write = backing_write,
    .trim = backing_trim,
    .sync = backing_sync,
};

static stowage_tier tier = {
    FAULTY_TIER,
    .role = STOWAGE_ROLE_BACKING,
    .lifetime = STOWAGE_LIFETIME_PERSISTENT,
    .priority = 900,
    .summary = "A backing that fails as it is told",
    .health = tier_health,
    .backing = &backing,
};

__attribute__((visibility("default"))) const stowage_tier *stowage_tier_entry(const stowage_host *table) {
  host = table;
  if (has("async")) backing.submit = backing_submit;
  if (has("mapped")) backing.map = backing_map;
  if (has("context")) {
    tier.thread_open = tier_thread_open;
    tier.thread_close = tier_thread_close;
  }
  if (has("serial")) tier.thread_model = STOWAGE_THREADS_ONE_PER_INSTANCE;
  if (has("transient")) {
    tier.lifetime = STOWAGE_LIFETIME_TRANSIENT;
  } else {
    backing.root_read = backing_root_read;
    backing.root_swap = backing_root_swap;
  }
  return &tier;
}
