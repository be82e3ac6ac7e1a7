// SPDX-License-Identifier: Apache-2.0
//
// A backing over disks that lose power and go wrong (simdisk.h). Disks outlive the instances that open them.
#define _GNU_SOURCE
#include <pthread.h>

#include "simdisk.h"

enum { DISKS = 16 };

static const stowage_host *host;
static disk disks[DISKS];

static int32_t say(int32_t code, const char *text) {
  host->set_error(text, strlen(text));
  return code;
}

// ---- For the test

#define FOR_TEST __attribute__((visibility("default")))

// A new disk of so many slots.
FOR_TEST void simdisk_format(uint32_t number, uint64_t slots, uint32_t page_size, uint64_t seed) {
  disk_format(&disks[number], slots, page_size, seed);
}

FOR_TEST void simdisk_copy(uint32_t number, uint32_t other) { disk_copy(&disks[number], &disks[other]); }
FOR_TEST void simdisk_seed(uint32_t number, uint64_t seed) { disks[number].random = seed; }
FOR_TEST void simdisk_interleave(uint32_t number, void (*body)(void)) { disks[number].interleave = body; }
FOR_TEST void simdisk_clock(uint32_t number, void (*passes)(uint64_t)) { disks[number].passes = passes; }

// The power fails in the call with this number from now on; 0: never.
FOR_TEST void simdisk_die_in(uint32_t number, uint64_t calls) {
  disk *d = &disks[number];
  d->dies_at = calls == 0 ? 0 : d->calls + calls;
}

FOR_TEST uint64_t simdisk_calls(uint32_t number) { return disks[number].calls; }
FOR_TEST uint64_t simdisk_died_in(uint32_t number) { return disks[number].died_in; }
FOR_TEST uint64_t simdisk_faults(uint32_t number, uint32_t fault) { return disks[number].faults[fault]; }
FOR_TEST uint64_t simdisk_damaged_reads(uint32_t number) { return disks[number].damaged_reads; }
FOR_TEST int simdisk_is_dead(uint32_t number) { return disks[number].is_dead; }

FOR_TEST void simdisk_set_fault(uint32_t number, uint32_t fault, uint32_t share) {
  disks[number].shares[fault] = share;
  if (share == 0 && fault == FAULT_CAPACITY) disks[number].full_until = 0;
}

FOR_TEST void simdisk_flip_every(uint32_t number, uint64_t reads) {
  disks[number].reads = 0;
  disks[number].flips_every = reads;
}

FOR_TEST uint8_t *simdisk_slot(uint32_t number, uint64_t slot) {
  return disk_slot(&disks[number], disks[number].current, slot);
}

FOR_TEST uint64_t simdisk_root(uint32_t number, uint8_t *root) {
  memcpy(root, disks[number].root, disks[number].root_length);
  return disks[number].root_length;
}

FOR_TEST void simdisk_set_root(uint32_t number, const uint8_t *root, uint64_t length) {
  memcpy(disks[number].root, root, length);
  disks[number].root_length = length;
}

FOR_TEST void simdisk_crash(uint32_t number) { disk_crash(&disks[number]); }
FOR_TEST void simdisk_damage(uint32_t number, uint64_t slot, int is_stale, uint64_t bit) {
  disk_damage(&disks[number], slot, is_stale, bit);
}
FOR_TEST void simdisk_repair(uint32_t number) { disk_repair(&disks[number]); }

// ---- The tier

// One call at a time. Not by the thread model: a call that the test makes in the middle of a write must not wait for it.
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static void leave(int *entered) {
  (void)entered;
  pthread_mutex_unlock(&gate);
}
#define ALONE __attribute__((cleanup(leave), unused)) int entered = pthread_mutex_lock(&gate)

typedef struct {
  disk *disk;
} sim_instance;

static int32_t sim_open(const stowage_open *arguments, stowage_instance **result) {
  disk *d = &disks[arguments->options[0].number];
  if (d->page_size != arguments->page_size) return say(STOWAGE_INVALID, "the disk has other slots");
  sim_instance *instance = calloc(1, sizeof *instance);
  instance->disk = d;
  d->sync_failed = 0;
  *result = (stowage_instance *)instance;
  return STOWAGE_OK;
}

static void sim_close(stowage_instance *instance) { free(instance); }

static disk *of(stowage_instance *instance) { return ((sim_instance *)instance)->disk; }

static int32_t sim_capacity(stowage_instance *instance, stowage_capacity *capacity) {
  capacity->slots_total = of(instance)->slots;
  return STOWAGE_OK;
}

// The call takes seconds now. True when its answer is RETRY; what it was to do is done or not.
static int hangs(disk *d, int *is_done) {
  *is_done = 1;
  if (!disk_fails(d, FAULT_HANG)) return 0;
  if (d->passes) d->passes((1 + disk_random(d) % 30) * UINT64_C(1000000000));
  int is_late = disk_random(d) % 2 == 0;
  *is_done = !is_late || disk_random(d) % 2 == 0;
  return is_late;
}

static int32_t late(void) { return say(STOWAGE_RETRY, "it took too long, says the test"); }

static int32_t sim_read(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count,
                        uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  ALONE;
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  if (slot + count > d->slots) return STOWAGE_GONE;
  int is_done;
  if (hangs(d, &is_done)) return late();
  memcpy(buffer, disk_slot(d, d->current, slot), (size_t)count * d->page_size);
  for (uint32_t i = 0; i < count; i++) d->damaged_reads += d->is_damaged[slot + i];
  int is_turn = d->flips_every > 0 && ++d->reads % d->flips_every == 0;
  if (disk_fails(d, FAULT_FLIP) || is_turn) {
    buffer[disk_random(d) % ((size_t)count * d->page_size)] ^= 1;
    d->damaged_reads++;
  }
  return STOWAGE_OK;
}

static int32_t sim_write(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count,
                         const uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  disk *d = of(instance);
  if (d->interleave && !d->in_interleave) {
    d->in_interleave = 1;
    d->interleave();
    d->in_interleave = 0;
  }
  ALONE;
  if (slot + count > d->slots) return STOWAGE_GONE;
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  if (disk_fails(d, FAULT_FULL) || disk_is_full(d)) {
    d->calls++;
    return say(STOWAGE_FULL, "no room, says the test");
  }
  int is_done, is_late = hangs(d, &is_done);
  int dead = disk_dies(d, CALL_WRITE);
  uint32_t done = dead || !is_done ? (uint32_t)(disk_random(d) % (count + 1)) : count;
  for (uint32_t i = 0; i < done; i++) disk_put(d, slot + i, buffer + (size_t)i * d->page_size);
  if (dead) return say(STOWAGE_IO, "the power failed");
  return is_late ? late() : STOWAGE_OK;
}

static int32_t sim_trim(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count) {
  (void)context;
  ALONE;
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  int dead = disk_dies(d, CALL_TRIM);
  uint32_t done = dead ? (uint32_t)(disk_random(d) % (count + 1)) : count;
  for (uint32_t i = 0; i < done; i++) disk_put(d, slot + i, 0);
  return dead ? say(STOWAGE_IO, "the power failed") : STOWAGE_OK;
}

static int32_t sim_sync(stowage_instance *instance, stowage_context *context) {
  (void)context;
  ALONE;
  disk *d = of(instance);
  if (d->is_dead || d->sync_failed) return say(STOWAGE_IO, "an earlier sync failed");
  if (disk_fails(d, FAULT_SYNC)) {
    d->sync_failed = 1;
    return say(STOWAGE_IO, "the sync failed, says the test");
  }
  int is_done, is_late = hangs(d, &is_done);
  int dead = disk_dies(d, CALL_SYNC);
  if (is_done && (!dead || disk_random(d) % 2 == 0)) disk_make_durable(d);
  if (dead) return say(STOWAGE_IO, "the power failed");
  return is_late ? late() : STOWAGE_OK;
}

static int32_t sim_root_read(stowage_instance *instance, uint8_t *root, size_t room, size_t *length) {
  ALONE;
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  *length = d->root_length;
  if (d->root_length > room) return STOWAGE_TOO_BIG;
  memcpy(root, d->root, d->root_length);
  return STOWAGE_OK;
}

static int32_t sim_root_swap(stowage_instance *instance, const uint8_t *expected, size_t expected_length,
                             const uint8_t *new_root, size_t new_length) {
  ALONE;
  disk *d = of(instance);
  if (d->is_dead || d->sync_failed) return say(STOWAGE_IO, "no power, or an earlier sync failed");
  if (expected_length != d->root_length || (expected_length > 0 && memcmp(expected, d->root, expected_length) != 0))
    return STOWAGE_GONE;
  int fails = disk_fails(d, FAULT_SYNC), is_open = disk_fails(d, FAULT_ROOT);
  if (fails) d->sync_failed = 1;
  int is_done, is_late = hangs(d, &is_done);
  int dead = disk_dies(d, CALL_ROOT);
  if (is_done && (!(dead || fails || is_open) || disk_random(d) % 2 == 0)) {
    // What it leads to first.
    disk_make_durable(d);
    memcpy(d->root, new_root, new_length);
    d->root_length = new_length;
  }
  if (dead || fails) return say(STOWAGE_IO, "the power failed");
  if (is_open || is_late) return say(is_late ? STOWAGE_RETRY : STOWAGE_IO, "nobody knows whether the root holds");
  return STOWAGE_OK;
}

static const stowage_option options[] = {{.key = "disk",
                                          .help = "which disk",
                                          .type = STOWAGE_OPTION_NUMBER,
                                          .number_default = 0,
                                          .number_min = 0,
                                          .number_max = DISKS - 1}};

static const stowage_backing sim_backing = {.struct_size = sizeof(stowage_backing),
                                            .capacity = sim_capacity,
                                            .read = sim_read,
                                            .write = sim_write,
                                            .trim = sim_trim,
                                            .sync = sim_sync,
                                            .root_read = sim_root_read,
                                            .root_swap = sim_root_swap};

static const stowage_tier sim_tier = {.magic = STOWAGE_TIER_MAGIC,
                                      .struct_size = sizeof(stowage_tier),
                                      .abi_major = STOWAGE_ABI_MAJOR,
                                      .abi_minor = STOWAGE_ABI_MINOR,
                                      .role = STOWAGE_ROLE_BACKING,
                                      .lifetime = STOWAGE_LIFETIME_PERSISTENT,
                                      .access = STOWAGE_ACCESS_TERMINAL,
                                      .priority = 900,
                                      .thread_model = STOWAGE_THREADS_PARALLEL,
                                      .name = FIXTURE_NAME,
                                      .version = "1.0.0",
                                      .summary = "A disk that loses power",
                                      .options = options,
                                      .option_count = 1,
                                      .option_size = sizeof(stowage_option),
                                      .open = sim_open,
                                      .close = sim_close,
                                      .backing = &sim_backing};

const stowage_tier *stowage_tier_entry(const stowage_host *table);
const stowage_tier *stowage_tier_entry(const stowage_host *table) {
  host = table;
  return &sim_tier;
}
