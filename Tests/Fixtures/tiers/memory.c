// SPDX-License-Identifier: Apache-2.0
//
// A backing in memory. Built with -DPERSISTENT it also syncs and keeps a root, with -DMAPPED its slots can be read in
// place, with -DASYNC it takes requests and ends them on a thread of its own, out of order. It notes every rule that the
// host breaks, and every write that holds the marker.
#ifndef PRIORITY
#define PRIORITY 900
#endif

#include "test-tier.h"

#include <sys/mman.h>

#ifdef PERSISTENT
#define LIFETIME STOWAGE_LIFETIME_PERSISTENT
#else
#define LIFETIME STOWAGE_LIFETIME_TRANSIENT
#endif

enum { SLOT_WRITTEN = 1, SLOT_WRITING = 2, SLOT_READER = 4 };

typedef struct {
  test_instance base;
  uint64_t slots;
  size_t bytes;
  uint8_t *pages;
  _Atomic uint32_t *states;
  pthread_mutex_t root_lock;
  size_t root_length;
  uint8_t root[STOWAGE_ROOT_BYTES_MAX];
#ifdef ASYNC
  pthread_t thread;
  pthread_mutex_t queue_lock;
  pthread_cond_t queued;
  stowage_request *queue[256];
  uint32_t count, turn;
  int stopping;
#endif
} memory_instance;

// The 16 bytes that no write may hold; all zero: none are looked for. Set while nothing runs.
static uint8_t marker[16];
static _Atomic int has_marker;
STOWAGE_EXPORT void test_marker(const uint8_t *bytes) {
  memcpy(marker, bytes, sizeof marker);
  atomic_store(&has_marker, 1);
}

static uint8_t *page(memory_instance *instance, uint64_t slot) { return instance->pages + slot * instance->base.page_size; }

static int32_t memory_write(memory_instance *instance, uint64_t slot, uint32_t count, const uint8_t *buffer,
                            const stowage_object *objects) {
  REQUIRE(count > 0 && objects != 0 && ((uintptr_t)buffer & 4095) == 0);
  REQUIRE(slot + count <= instance->slots);
  if (slot + count > instance->slots) return STOWAGE_GONE;
  if (test_takes(KNOB_FAIL_ENCODES)) return test_failure();
  for (uint32_t i = 0; i < count; i++) {
    REQUIRE(objects[i].id != 0 && objects[i].length == instance->base.page_size);
    REQUIRE(objects[i].flags & STOWAGE_OBJECT_FRAME);
    // Nobody may be reading or writing a slot that is written.
    REQUIRE((atomic_fetch_or(&instance->states[slot + i], SLOT_WRITING) & ~(uint32_t)SLOT_WRITTEN) == 0);
  }
  size_t length = (size_t)count * instance->base.page_size;
  memcpy(page(instance, slot), buffer, length);
  if (atomic_load(&has_marker) && memmem(buffer, length, marker, sizeof marker)) COUNT(COUNT_MARKERS, 1);
  for (uint32_t i = 0; i < count; i++) {
    atomic_fetch_or(&instance->states[slot + i], SLOT_WRITTEN);
    atomic_fetch_and(&instance->states[slot + i], ~(uint32_t)SLOT_WRITING);
  }
  COUNT(COUNT_WRITES, count);
  return STOWAGE_OK;
}

static int32_t memory_read(memory_instance *instance, uint64_t slot, uint32_t count, uint8_t *buffer,
                           const stowage_object *objects) {
  REQUIRE(count > 0 && objects != 0 && ((uintptr_t)buffer & 4095) == 0);
  REQUIRE(slot + count <= instance->slots);
  if (slot + count > instance->slots) return STOWAGE_GONE;
  if (test_takes(KNOB_FAIL_DECODES)) return test_failure();
  for (uint32_t i = 0; i < count; i++) {
    uint32_t before = atomic_fetch_add(&instance->states[slot + i], SLOT_READER);
    // What is read was written, and is not being written now.
    REQUIRE((before & (SLOT_WRITTEN | SLOT_WRITING)) == SLOT_WRITTEN);
  }
  memcpy(buffer, page(instance, slot), (size_t)count * instance->base.page_size);
  for (uint32_t i = 0; i < count; i++) atomic_fetch_sub(&instance->states[slot + i], SLOT_READER);
  COUNT(COUNT_READS, count);
  return STOWAGE_OK;
}

static int32_t memory_trim(memory_instance *instance, uint64_t slot, uint32_t count) {
  REQUIRE(count > 0 && slot + count <= instance->slots);
  for (uint32_t i = 0; i < count; i++) {
    REQUIRE((atomic_exchange(&instance->states[slot + i], 0) & ~(uint32_t)SLOT_WRITTEN) == 0);
    memset(page(instance, slot + i), 0xDB, instance->base.page_size);
  }
  COUNT(COUNT_TRIMS, count);
  return STOWAGE_OK;
}

static int32_t memory_sync(void) {
  COUNT(COUNT_SYNCS, 1);
  return STOWAGE_OK;
}

// ---- The ABI's calls

static int32_t call_read(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count, uint8_t *buffer,
                         const stowage_object *objects) {
  memory_instance *instance = (memory_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_DECODE);
  return test_leave(&instance->base, context, memory_read(instance, slot, count, buffer, objects));
}

static int32_t call_write(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count,
                          const uint8_t *buffer, const stowage_object *objects) {
  memory_instance *instance = (memory_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_ENCODE);
  return test_leave(&instance->base, context, memory_write(instance, slot, count, buffer, objects));
}

static int32_t call_trim(stowage_instance *raw, stowage_context *context, uint64_t slot, uint32_t count) {
  memory_instance *instance = (memory_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_ENCODE);
  return test_leave(&instance->base, context, memory_trim(instance, slot, count));
}

static int32_t call_sync(stowage_instance *raw, stowage_context *context) {
  memory_instance *instance = (memory_instance *)raw;
  test_enter(&instance->base, context, STOWAGE_CONTEXT_ENCODE);
  return test_leave(&instance->base, context, memory_sync());
}

static int32_t call_capacity(stowage_instance *raw, stowage_capacity *capacity) {
  REQUIRE(capacity->struct_size >= sizeof *capacity);
  capacity->slots_total = ((memory_instance *)raw)->slots;
  return STOWAGE_OK;
}

#ifdef MAPPED
static const uint8_t *call_map(stowage_instance *raw, uint64_t slot) {
  memory_instance *instance = (memory_instance *)raw;
  REQUIRE(slot < instance->slots && atomic_load(&instance->states[slot]) & SLOT_WRITTEN);
  COUNT(COUNT_READS, 1);
  return page(instance, slot);
}
#endif

#ifdef PERSISTENT
static int32_t call_root_read(stowage_instance *raw, uint8_t *root, size_t room, size_t *length) {
  memory_instance *instance = (memory_instance *)raw;
  pthread_mutex_lock(&instance->root_lock);
  int fits = instance->root_length <= room;
  if (fits) memcpy(root, instance->root, instance->root_length);
  *length = instance->root_length;
  pthread_mutex_unlock(&instance->root_lock);
  return fits ? STOWAGE_OK : STOWAGE_TOO_BIG;
}

static int32_t call_root_swap(stowage_instance *raw, const uint8_t *expected, size_t expected_length,
                              const uint8_t *new_root, size_t new_length) {
  memory_instance *instance = (memory_instance *)raw;
  if (new_length > STOWAGE_ROOT_BYTES_MAX) return STOWAGE_INVALID;
  pthread_mutex_lock(&instance->root_lock);
  int equals = expected_length == instance->root_length &&
               (expected_length == 0 || memcmp(expected, instance->root, expected_length) == 0);
  if (equals) {
    memcpy(instance->root, new_root, new_length);
    instance->root_length = new_length;
  }
  pthread_mutex_unlock(&instance->root_lock);
  return equals ? STOWAGE_OK : STOWAGE_GONE;
}
#endif

#ifdef ASYNC
static int32_t perform(memory_instance *instance, stowage_request *request) {
  test_delay();
  switch (request->operation) {
    case STOWAGE_OPERATION_READ:
      return memory_read(instance, request->slot, request->slot_count, request->buffer, request->objects);
    case STOWAGE_OPERATION_WRITE:
      return memory_write(instance, request->slot, request->slot_count, request->buffer, request->objects);
    case STOWAGE_OPERATION_TRIM: return memory_trim(instance, request->slot, request->slot_count);
    case STOWAGE_OPERATION_SYNC: return memory_sync();
    default: REQUIRE(0); return STOWAGE_INVALID;
  }
}

static void *serve(void *argument) {
  memory_instance *instance = argument;
  pthread_mutex_lock(&instance->queue_lock);
  while (1) {
    while (instance->count == 0 && !instance->stopping) pthread_cond_wait(&instance->queued, &instance->queue_lock);
    if (instance->count == 0) break;
    // Not the oldest, so that requests end out of order.
    uint32_t at = instance->turn++ * 7 % instance->count;
    stowage_request *request = instance->queue[at];
    instance->queue[at] = instance->queue[--instance->count];
    pthread_mutex_unlock(&instance->queue_lock);
    int32_t result = perform(instance, request);
    request->complete(request, result);
    pthread_mutex_lock(&instance->queue_lock);
  }
  pthread_mutex_unlock(&instance->queue_lock);
  return 0;
}

static int32_t call_submit(stowage_instance *raw, stowage_context *context, stowage_request *const *requests,
                           uint32_t count, uint32_t *taken) {
  memory_instance *instance = (memory_instance *)raw;
  test_enter(&instance->base, context, 0);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t use = requests[i]->operation == STOWAGE_OPERATION_READ ? STOWAGE_CONTEXT_DECODE : STOWAGE_CONTEXT_ENCODE;
    REQUIRE(((test_context *)context)->use & use);
  }
  *taken = 0;
  pthread_mutex_lock(&instance->queue_lock);
  for (; *taken < count && instance->count < 256; ++*taken) {
    REQUIRE(requests[*taken]->struct_size >= sizeof(stowage_request));
    instance->queue[instance->count++] = requests[*taken];
  }
  pthread_cond_signal(&instance->queued);
  pthread_mutex_unlock(&instance->queue_lock);
  return test_leave(&instance->base, context, *taken == count ? STOWAGE_OK : STOWAGE_RETRY);
}
#endif

static int32_t memory_open(const stowage_open *arguments, stowage_instance **result) {
  memory_instance *instance = calloc(1, sizeof *instance);
  test_begin(&instance->base, arguments);
  instance->slots = (uint64_t)arguments->options[0].number;
  instance->bytes = instance->slots * arguments->page_size;
  instance->pages = mmap(0, instance->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  instance->states = calloc(instance->slots, sizeof *instance->states);
  pthread_mutex_init(&instance->root_lock, 0);
#ifdef ASYNC
  pthread_mutex_init(&instance->queue_lock, 0);
  pthread_cond_init(&instance->queued, 0);
  pthread_create(&instance->thread, 0, serve, instance);
#endif
  *result = (stowage_instance *)instance;
  return STOWAGE_OK;
}

static void memory_close(stowage_instance *raw) {
  memory_instance *instance = (memory_instance *)raw;
#ifdef ASYNC
  pthread_mutex_lock(&instance->queue_lock);
  REQUIRE(instance->count == 0);
  instance->stopping = 1;
  pthread_cond_signal(&instance->queued);
  pthread_mutex_unlock(&instance->queue_lock);
  pthread_join(instance->thread, 0);
#endif
  test_end(&instance->base);
  munmap(instance->pages, instance->bytes);
  free(instance->states);
  free(instance);
}

static const stowage_option options[] = {{.key = "slots",
                                          .help = "how many slots",
                                          .type = STOWAGE_OPTION_NUMBER,
                                          .number_default = 16384,
                                          .number_min = 1,
                                          .number_max = 1 << 24}};

static const stowage_backing test_backing = {.struct_size = sizeof(stowage_backing),
                                             .capacity = call_capacity,
                                             .read = call_read,
                                             .write = call_write,
                                             .trim = call_trim,
                                             .sync = call_sync,
#ifdef ASYNC
                                             .submit = call_submit,
#endif
#ifdef MAPPED
                                             .map = call_map,
#endif
#ifdef PERSISTENT
                                             .root_read = call_root_read,
                                             .root_swap = call_root_swap,
#endif
};

static const stowage_tier test_tier = {.magic = STOWAGE_TIER_MAGIC,
                                       .struct_size = sizeof(stowage_tier),
                                       .abi_major = STOWAGE_ABI_MAJOR,
                                       .abi_minor = STOWAGE_ABI_MINOR,
                                       .role = STOWAGE_ROLE_BACKING,
                                       .lifetime = LIFETIME,
                                       .access = ACCESS,
                                       .priority = PRIORITY,
                                       .thread_model = THREADS,
                                       .name = FIXTURE_NAME,
                                       .version = "1.0.0",
                                       .summary = "A backing for tests",
                                       .options = options,
                                       .option_count = 1,
                                       .option_size = sizeof(stowage_option),
                                       .open = memory_open,
                                       .close = memory_close,
                                       .thread_open = test_thread_open,
                                       .thread_close = test_thread_close,
                                       .backing = &test_backing};

const stowage_tier *stowage_tier_entry(const stowage_host *host) {
  test_host = host;
  return &test_tier;
}
