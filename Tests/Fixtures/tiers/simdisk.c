// SPDX-License-Identifier: Apache-2.0
//
// A disk that loses power. What was written is durable after a sync only; a crash keeps, drops, reorders and tears what was
// not, by the seed it is given. Disks outlive the instances that open them. One thread uses a disk at a time, and one
// instance has it.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <stowage/tier.h>

enum { DISKS = 16, SECTOR = 512 };

typedef struct {
  uint64_t slot;
  uint8_t *data;  // null: trimmed
} entry;

typedef struct {
  uint64_t slots;
  uint32_t page_size;
  uint8_t *durable, *current;
  entry *log;
  size_t log_count, log_room;
  uint8_t root[STOWAGE_ROOT_BYTES_MAX];
  size_t root_length;
  uint64_t random;
  // Writes, syncs and root swaps so far; the power fails in the one with this number (0: never).
  uint64_t calls, dies_at;
  int is_dead, sync_failed;
  // In a thousand: syncs that fail, writes that find no room, reads that give other bytes.
  uint32_t fail_syncs, fail_writes, flip_reads;
  uint64_t failures;
  // Called before a write, while no lock is held: the test uses the store then.
  void (*interleave)(void);
  int in_interleave;
} disk;

static const stowage_host *host;
static disk disks[DISKS];

static uint64_t next_random(disk *d) {
  uint64_t z = d->random += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static int32_t say(int32_t code, const char *text) {
  host->set_error(text, strlen(text));
  return code;
}

static uint8_t *at(disk *d, uint8_t *pages, uint64_t slot) { return pages + slot * d->page_size; }

static void clear_log(disk *d) {
  for (size_t i = 0; i < d->log_count; i++) free(d->log[i].data);
  d->log_count = 0;
}

static void append(disk *d, uint64_t slot, const uint8_t *data) {
  if (d->log_count == d->log_room) {
    d->log_room = d->log_room ? d->log_room * 2 : 256;
    d->log = realloc(d->log, d->log_room * sizeof *d->log);
  }
  entry *e = &d->log[d->log_count++];
  e->slot = slot;
  e->data = 0;
  if (data) {
    e->data = malloc(d->page_size);
    memcpy(e->data, data, d->page_size);
  }
}

static void apply(disk *d, const entry *e, size_t bytes) {
  if (e->data) {
    memcpy(at(d, d->durable, e->slot), e->data, bytes);
  } else {
    memset(at(d, d->durable, e->slot), 0xDB, bytes);
  }
}

static void make_durable(disk *d) {
  for (size_t i = 0; i < d->log_count; i++) apply(d, &d->log[i], d->page_size);
  clear_log(d);
}

// Counts a call that changes something. True when the power fails in it.
static int dies(disk *d) {
  d->calls++;
  if (d->dies_at != 0 && d->calls >= d->dies_at) d->is_dead = 1;
  return d->is_dead;
}

static int happens(disk *d, uint32_t share) {
  int yes = share > 0 && next_random(d) % 1000 < share;
  d->failures += (uint64_t)yes;
  return yes;
}

// ---- For the test

#define FOR_TEST __attribute__((visibility("default")))

// A new disk of so many slots.
FOR_TEST void simdisk_format(uint32_t number, uint64_t slots, uint32_t page_size, uint64_t seed) {
  disk *d = &disks[number];
  clear_log(d);
  free(d->log);
  free(d->durable);
  free(d->current);
  memset(d, 0, sizeof *d);
  d->slots = slots;
  d->page_size = page_size;
  d->random = seed;
  d->durable = calloc(slots, page_size);
  d->current = calloc(slots, page_size);
}

FOR_TEST void simdisk_interleave(uint32_t number, void (*body)(void)) { disks[number].interleave = body; }

// The power fails in the call with this number from now on; 0: never.
FOR_TEST void simdisk_die_in(uint32_t number, uint64_t calls) {
  disk *d = &disks[number];
  d->dies_at = calls == 0 ? 0 : d->calls + calls;
}

FOR_TEST uint64_t simdisk_calls(uint32_t number) { return disks[number].calls; }
FOR_TEST uint64_t simdisk_failures(uint32_t number) { return disks[number].failures; }
FOR_TEST int simdisk_is_dead(uint32_t number) { return disks[number].is_dead; }

FOR_TEST void simdisk_faults(uint32_t number, uint32_t syncs, uint32_t writes, uint32_t reads) {
  disks[number].fail_syncs = syncs;
  disks[number].fail_writes = writes;
  disks[number].flip_reads = reads;
}

FOR_TEST uint8_t *simdisk_slot(uint32_t number, uint64_t slot) {
  return at(&disks[number], disks[number].current, slot);
}

FOR_TEST uint64_t simdisk_root(uint32_t number, uint8_t *root) {
  memcpy(root, disks[number].root, disks[number].root_length);
  return disks[number].root_length;
}

FOR_TEST void simdisk_set_root(uint32_t number, const uint8_t *root, uint64_t length) {
  memcpy(disks[number].root, root, length);
  disks[number].root_length = length;
}

// The power comes back: what was not synced is there in part, in any order, torn.
FOR_TEST void simdisk_crash(uint32_t number) {
  disk *d = &disks[number];
  for (size_t i = d->log_count; i > 1; i--) {
    size_t other = next_random(d) % i;
    entry moved = d->log[i - 1];
    d->log[i - 1] = d->log[other];
    d->log[other] = moved;
  }
  uint32_t sectors = d->page_size / SECTOR;
  uint64_t kept = next_random(d) % 5;
  for (size_t i = 0; i < d->log_count; i++) {
    if (next_random(d) % 4 >= kept) continue;
    apply(d, &d->log[i], next_random(d) % 4 == 0 ? next_random(d) % sectors * SECTOR : d->page_size);
  }
  clear_log(d);
  memcpy(d->current, d->durable, d->slots * d->page_size);
  d->is_dead = 0;
  d->sync_failed = 0;
  d->dies_at = 0;
}

// ---- The tier

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

static int32_t sim_read(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count,
                        uint8_t *buffer, const stowage_object *objects) {
  (void)context, (void)objects;
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  if (slot + count > d->slots) return STOWAGE_GONE;
  memcpy(buffer, at(d, d->current, slot), (size_t)count * d->page_size);
  if (happens(d, d->flip_reads)) buffer[next_random(d) % ((size_t)count * d->page_size)] ^= 1;
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
  if (slot + count > d->slots) return STOWAGE_GONE;
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  if (happens(d, d->fail_writes)) return say(STOWAGE_FULL, "no room, says the test");
  int dead = dies(d);
  uint32_t done = dead ? (uint32_t)(next_random(d) % (count + 1)) : count;
  for (uint32_t i = 0; i < done; i++) {
    append(d, slot + i, buffer + (size_t)i * d->page_size);
    memcpy(at(d, d->current, slot + i), buffer + (size_t)i * d->page_size, d->page_size);
  }
  return dead ? say(STOWAGE_IO, "the power failed") : STOWAGE_OK;
}

static int32_t sim_trim(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count) {
  (void)context;
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  for (uint32_t i = 0; i < count; i++) {
    append(d, slot + i, 0);
    memset(at(d, d->current, slot + i), 0xDB, d->page_size);
  }
  return STOWAGE_OK;
}

static int32_t sim_sync(stowage_instance *instance, stowage_context *context) {
  (void)context;
  disk *d = of(instance);
  if (d->is_dead || d->sync_failed) return say(STOWAGE_IO, "an earlier sync failed");
  if (happens(d, d->fail_syncs)) {
    d->sync_failed = 1;
    return say(STOWAGE_IO, "the sync failed, says the test");
  }
  int dead = dies(d);
  if (!dead || next_random(d) % 2 == 0) make_durable(d);
  return dead ? say(STOWAGE_IO, "the power failed") : STOWAGE_OK;
}

static int32_t sim_root_read(stowage_instance *instance, uint8_t *root, size_t room, size_t *length) {
  disk *d = of(instance);
  if (d->is_dead) return say(STOWAGE_IO, "no power");
  *length = d->root_length;
  if (d->root_length > room) return STOWAGE_TOO_BIG;
  memcpy(root, d->root, d->root_length);
  return STOWAGE_OK;
}

static int32_t sim_root_swap(stowage_instance *instance, const uint8_t *expected, size_t expected_length,
                             const uint8_t *new_root, size_t new_length) {
  disk *d = of(instance);
  if (d->is_dead || d->sync_failed) return say(STOWAGE_IO, "no power, or an earlier sync failed");
  if (expected_length != d->root_length || (expected_length > 0 && memcmp(expected, d->root, expected_length) != 0))
    return STOWAGE_GONE;
  int fails = happens(d, d->fail_syncs);
  if (fails) d->sync_failed = 1;
  int dead = dies(d);
  if (!(dead || fails) || next_random(d) % 2 == 0) {
    // What it leads to first.
    make_durable(d);
    memcpy(d->root, new_root, new_length);
    d->root_length = new_length;
  }
  return dead || fails ? say(STOWAGE_IO, "the power failed") : STOWAGE_OK;
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
                                      .thread_model = STOWAGE_THREADS_ONE_PER_INSTANCE,
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
