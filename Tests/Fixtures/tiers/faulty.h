// SPDX-License-Identifier: Apache-2.0
// What the faulty tiers share: a block of numbers for each instance name, which a test sets and reads while the tier
// runs. A block is never freed, so that it can be looked at after the instance is closed.
#ifndef STOWAGE_FAULTY_H
#define STOWAGE_FAULTY_H

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stowage/tier.h>

#define KNOBS 64

typedef struct block {
  _Atomic int64_t knob[KNOBS];
  char name[64];
  uint8_t *memory;
  struct block *next;
} block;

static const stowage_host *host;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static block *blocks;

static block *find_block(const char *name) {
  pthread_mutex_lock(&blocks_lock);
  block *found = blocks;
  while (found && strcmp(found->name, name) != 0) found = found->next;
  if (!found) {
    found = calloc(1, sizeof *found);
    strncpy(found->name, name, sizeof found->name - 1);
    found->next = blocks;
    blocks = found;
  }
  pthread_mutex_unlock(&blocks_lock);
  return found;
}

// For the test: the numbers of an instance, by the name it has in its chain.
__attribute__((visibility("default"))) _Atomic int64_t *faulty_knobs(const char *name) {
  return find_block(name)->knob;
}

// For the test: the slots of a backing.
__attribute__((visibility("default"))) uint8_t *faulty_memory(const char *name) { return find_block(name)->memory; }

static inline int64_t get(block *b, int knob) { return atomic_load(&b->knob[knob]); }
static inline void set(block *b, int knob, int64_t value) { atomic_store(&b->knob[knob], value); }
static inline int64_t add(block *b, int knob, int64_t value) { return atomic_fetch_add(&b->knob[knob], value) + value; }

// Whether one of `count` charges is there, and uses it up; negative: without end.
static inline int charged(block *b, int count) {
  int64_t left = get(b, count);
  while (left > 0) {
    if (atomic_compare_exchange_weak(&b->knob[count], &left, left - 1)) return 1;
  }
  return left < 0;
}

static inline void say(const char *text) { host->set_error(text, strlen(text)); }

// Whether the form has a word in its name.
static inline int has(const char *word) { return strstr(FIXTURE_NAME, word) != NULL; }

// Fails as a knob says, with words unless told to be silent.
static inline int32_t fail_as(block *b, int code, int silent, const char *text) {
  if (!get(b, silent)) say(text);
  return (int32_t)get(b, code);
}

static inline void wait_us(block *b, int knob) {
  if (get(b, knob) > 0) usleep((useconds_t)get(b, knob));
}

static inline int32_t tell_health(block *b, int state, stowage_health *health) {
  health->state = (uint32_t)get(b, state);
  if (health->state > STOWAGE_HEALTH_GOOD) strcpy(health->message, "told to be unwell");
  return STOWAGE_OK;
}

// What the descriptors have in common.
#define FAULTY_TIER                                                                                        \
  .magic = STOWAGE_TIER_MAGIC, .struct_size = sizeof(stowage_tier), .abi_major = STOWAGE_ABI_MAJOR,        \
  .abi_minor = STOWAGE_ABI_MINOR, .minor_required = STOWAGE_ABI_MINOR, .access = STOWAGE_ACCESS_TERMINAL,  \
  .thread_model = STOWAGE_THREADS_PARALLEL, .name = FIXTURE_NAME, .version = "1.0.0", .open = tier_open,   \
  .close = tier_close

#endif
