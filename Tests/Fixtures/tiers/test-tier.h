// SPDX-License-Identifier: Apache-2.0
//
// What all test tiers share: counters and knobs that a test reaches through dlsym, and checks that the host keeps the
// rules of <stowage/tier.h>. FIXTURE_NAME, ACCESS, THREADS and others come from the build.
#ifndef TEST_TIER_H
#define TEST_TIER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stowage/tier.h>

#ifndef ACCESS
#define ACCESS STOWAGE_ACCESS_TRANSPARENT
#endif
#ifndef THREADS
#define THREADS STOWAGE_THREADS_PARALLEL
#endif

// Counters, over all instances of this file. The numbers stand in TestTier.swift as well.
enum {
  COUNT_ENCODES,
  COUNT_DECODES,
  COUNT_IDS_REUSED,   // an id that was encoded before by the same instance
  COUNT_OVERLAPS,     // calls side by side that the thread model forbids
  COUNT_VIOLATIONS,   // any other broken rule of the ABI
  COUNT_MARKERS,      // writes that held the marker
  COUNT_FAILURES,     // calls that failed because a knob said so
  COUNT_WRITES,       // slots written
  COUNT_READS,        // slots read
  COUNT_TRIMS,        // slots trimmed
  COUNT_SYNCS,
  COUNT_INSTANCES,    // open now
  COUNT_CONTEXTS,     // open now
  COUNT_TOO_BIG,
  COUNT_LAST_VIOLATION,  // its line
  COUNTERS
};

// Knobs.
enum {
  KNOB_FAIL_CODE,   // what failing calls answer, negated: 1 is STOWAGE_RETRY
  KNOB_FAIL_ENCODES,  // encodes and writes that fail from now on
  KNOB_FAIL_DECODES,  // decodes and reads that fail from now on
  KNOB_TOO_BIG,     // encodes that answer TOO_BIG from now on
  KNOB_DELAY_US,    // each data call takes at least so long
  KNOBS
};

static _Atomic uint64_t test_counters[COUNTERS];
static _Atomic uint64_t test_knobs[KNOBS];
static const stowage_host *test_host;

STOWAGE_EXPORT uint64_t test_counter(uint32_t index) { return atomic_load(&test_counters[index]); }
STOWAGE_EXPORT void test_set(uint32_t index, uint64_t value) { atomic_store(&test_knobs[index], value); }

#define COUNT(counter, n) atomic_fetch_add_explicit(&test_counters[counter], (uint64_t)(n), memory_order_relaxed)
#define UNCOUNT(counter) atomic_fetch_sub_explicit(&test_counters[counter], 1, memory_order_relaxed)
#define REQUIRE(condition)                                          \
  do {                                                              \
    if (!(condition)) {                                             \
      COUNT(COUNT_VIOLATIONS, 1);                                   \
      atomic_store(&test_counters[COUNT_LAST_VIOLATION], __LINE__); \
    }                                                               \
  } while (0)

static inline int32_t test_say(int32_t code, const char *text) {
  test_host->set_error(text, strlen(text));
  return code;
}

// Takes one of the calls that are to fail; true when this one is among them.
static inline int test_takes(uint32_t knob) {
  uint64_t left = atomic_load_explicit(&test_knobs[knob], memory_order_relaxed);
  while (left > 0) {
    if (atomic_compare_exchange_weak(&test_knobs[knob], &left, left - 1)) {
      COUNT(COUNT_FAILURES, knob != KNOB_TOO_BIG);
      return 1;
    }
  }
  return 0;
}

static inline int32_t test_failure(void) {
  uint64_t code = atomic_load(&test_knobs[KNOB_FAIL_CODE]);
  return test_say(code ? -(int32_t)code : STOWAGE_RETRY, "told to fail by the test");
}

static inline void test_delay(void) {
  uint64_t us = atomic_load_explicit(&test_knobs[KNOB_DELAY_US], memory_order_relaxed);
  if (us > 0) nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, 0);
}

// ---- Ids that were encoded: open addressing, grown by half full

typedef struct {
  pthread_mutex_t lock;
  uint64_t *ids;
  size_t size, used;
} test_ids;

static inline void test_ids_put(uint64_t *ids, size_t size, uint64_t id) {
  size_t at = id * UINT64_C(0x9E3779B97F4A7C15) & (size - 1);
  while (ids[at] != 0) at = (at + 1) & (size - 1);
  ids[at] = id;
}

// False when the id is known. Ids are never 0.
static inline int test_ids_add(test_ids *set, uint64_t id) {
  pthread_mutex_lock(&set->lock);
  if (set->used * 2 >= set->size) {
    size_t size = set->size ? set->size * 2 : 4096;
    uint64_t *ids = calloc(size, sizeof *ids);
    for (size_t i = 0; i < set->size; i++)
      if (set->ids[i] != 0) test_ids_put(ids, size, set->ids[i]);
    free(set->ids);
    set->ids = ids;
    set->size = size;
  }
  size_t at = id * UINT64_C(0x9E3779B97F4A7C15) & (set->size - 1);
  while (set->ids[at] != 0 && set->ids[at] != id) at = (at + 1) & (set->size - 1);
  int is_new = set->ids[at] == 0;
  if (is_new) {
    set->ids[at] = id;
    set->used++;
  }
  pthread_mutex_unlock(&set->lock);
  return is_new;
}

// ---- Instances and contexts

typedef struct {
  uint64_t owner;
  uint32_t page_size, epoch;
  _Atomic int contexts, running;
  test_ids ids;
} test_instance;

typedef struct {
  test_instance *instance;
  uint32_t use;
  _Atomic int busy;
} test_context;

static _Atomic int test_running;

static inline void test_begin(test_instance *instance, const stowage_open *arguments) {
  REQUIRE(arguments->struct_size >= sizeof(stowage_open));
  REQUIRE(arguments->page_size >= STOWAGE_PAGE_BYTES_MIN && arguments->page_size <= STOWAGE_PAGE_BYTES_MAX);
  REQUIRE(arguments->epoch != 0 && arguments->instance_name[0] != 0);
  instance->owner = arguments->owner;
  instance->page_size = arguments->page_size;
  instance->epoch = arguments->epoch;
  pthread_mutex_init(&instance->ids.lock, 0);
  COUNT(COUNT_INSTANCES, 1);
}

static inline void test_end(test_instance *instance) {
  REQUIRE(atomic_load(&instance->contexts) == 0);
  REQUIRE(atomic_load(&instance->running) == 0);
  pthread_mutex_destroy(&instance->ids.lock);
  free(instance->ids.ids);
  UNCOUNT(COUNT_INSTANCES);
}

static int32_t test_thread_open(stowage_instance *raw, uint32_t use, stowage_context **result) {
  test_instance *instance = (test_instance *)raw;
  test_context *context = test_host->memory_allocate(instance->owner, sizeof *context, 64, STOWAGE_MEMORY_PLAIN);
  if (!context) return test_say(STOWAGE_RETRY, "no memory");
  context->instance = instance;
  context->use = use;
  atomic_fetch_add(&instance->contexts, 1);
  COUNT(COUNT_CONTEXTS, 1);
  *result = (stowage_context *)context;
  return STOWAGE_OK;
}

static void test_thread_close(stowage_instance *raw, stowage_context *raw_context) {
  test_instance *instance = (test_instance *)raw;
  test_context *context = (test_context *)raw_context;
  REQUIRE(context->instance == instance && atomic_load(&context->busy) == 0);
  test_host->memory_free(instance->owner, context, sizeof *context, STOWAGE_MEMORY_PLAIN);
  atomic_fetch_sub(&instance->contexts, 1);
  UNCOUNT(COUNT_CONTEXTS);
}

// Around each data call.
static inline void test_enter(test_instance *instance, stowage_context *raw, uint32_t use) {
  test_context *context = (test_context *)raw;
  REQUIRE(context != 0);
  if (context) {
    REQUIRE(context->instance == instance && (context->use & use) == use);
    REQUIRE(atomic_exchange(&context->busy, 1) == 0);
  }
  int here = atomic_fetch_add(&instance->running, 1);
  int everywhere = atomic_fetch_add(&test_running, 1);
  if (THREADS == STOWAGE_THREADS_ONE_PER_INSTANCE && here != 0) COUNT(COUNT_OVERLAPS, 1);
  if (THREADS == STOWAGE_THREADS_ONE_FOR_ALL && everywhere != 0) COUNT(COUNT_OVERLAPS, 1);
  test_delay();
}

static inline int32_t test_leave(test_instance *instance, stowage_context *raw, int32_t result) {
  atomic_fetch_sub(&test_running, 1);
  atomic_fetch_sub(&instance->running, 1);
  if (raw) atomic_store(&((test_context *)raw)->busy, 0);
  return result;
}

static inline void test_check_object(test_instance *instance, const stowage_object *object) {
  REQUIRE(object->id != 0 && object->reserved == 0);
  REQUIRE(object->epoch == instance->epoch);
  REQUIRE(object->length > 0 && object->length <= instance->page_size);
  REQUIRE((object->flags & ~7u) == 0);
}

#endif
