// SPDX-License-Identifier: Apache-2.0
//
// A disk in memory that loses power and goes wrong; what simdisk.c makes a tier of. One thread uses a disk at a time.
//
// What was written is durable after a sync only; a crash keeps, drops, reorders and tears what was not, by its seed.
// Damage is a slot that holds something else than what was last written to it; reads of such slots are counted.
#ifndef SIMDISK_H
#define SIMDISK_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <stowage/tier.h>

enum { SECTOR = 512 };

// Calls that change something, and faults. The numbers stand in SimulatedDisk.swift as well.
enum { CALL_WRITE, CALL_TRIM, CALL_SYNC, CALL_ROOT, CALLS };
enum {
  FAULT_SYNC,  // a sync or a new root fails, and every later one until the disk is opened anew
  FAULT_FULL,  // a write finds no room
  FAULT_FLIP,  // a read gives other bytes once
  FAULT_ROOT,  // a new root: the answer is an error, whether it holds is open
  FAULT_HANG,  // a call takes seconds, and may be answered by RETRY then
  FAULT_CAPACITY,  // for some calls every write finds no room
  FAULTS
};

typedef struct {
  uint64_t slot;
  uint8_t *data;  // null: trimmed
} entry;

typedef struct {
  uint64_t slots;
  uint32_t page_size;
  uint8_t *durable, *current;
  uint8_t *former;   // what a slot held before it was last written
  uint8_t *healthy;  // of damaged slots: what they should hold
  uint8_t *is_damaged;
  entry *log;
  size_t log_count, log_room;
  uint8_t root[STOWAGE_ROOT_BYTES_MAX];
  size_t root_length;
  uint64_t random;
  // Calls that change something; the power fails in the one with the number `dies_at` (0: never).
  uint64_t calls, dies_at;
  uint32_t died_in;
  int is_dead, sync_failed;
  uint64_t full_until;
  uint32_t shares[FAULTS];  // in a thousand
  uint64_t faults[FAULTS], damaged_reads;
  // Of the reads, each one of so many gives other bytes (0: none of them).
  uint64_t reads, flips_every;
  // Called before a write, while no lock is held: the test uses the store then.
  void (*interleave)(void);
  int in_interleave;
  // Called when a call takes time, with nanoseconds.
  void (*passes)(uint64_t);
} disk;

static inline uint64_t disk_random(disk *d) {
  uint64_t z = d->random += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static inline uint8_t *disk_slot(disk *d, uint8_t *pages, uint64_t slot) { return pages + slot * d->page_size; }

static inline void disk_clear_log(disk *d) {
  for (size_t i = 0; i < d->log_count; i++) free(d->log[i].data);
  d->log_count = 0;
}

static inline void disk_append(disk *d, uint64_t slot, const uint8_t *data) {
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

// What a slot holds from now on; null: it is trimmed.
static inline void disk_put(disk *d, uint64_t slot, const uint8_t *data) {
  uint8_t *current = disk_slot(d, d->current, slot);
  disk_append(d, slot, data);
  memcpy(disk_slot(d, d->former, slot), d->is_damaged[slot] ? disk_slot(d, d->healthy, slot) : current, d->page_size);
  d->is_damaged[slot] = 0;
  if (data) memcpy(current, data, d->page_size);
  else memset(current, 0xDB, d->page_size);
}

static inline void disk_apply(disk *d, const entry *e, size_t bytes) {
  uint8_t *durable = disk_slot(d, d->durable, e->slot);
  if (e->data) memcpy(durable, e->data, bytes);
  else memset(durable, 0xDB, bytes);
}

static inline void disk_make_durable(disk *d) {
  for (size_t i = 0; i < d->log_count; i++) disk_apply(d, &d->log[i], d->page_size);
  disk_clear_log(d);
}

// Counts a call that changes something. True when the power fails in it.
static inline int disk_dies(disk *d, uint32_t call) {
  d->calls++;
  if (d->dies_at != 0 && d->calls >= d->dies_at && !d->is_dead) {
    d->is_dead = 1;
    d->died_in = call;
  }
  return d->is_dead;
}

static inline int disk_fails(disk *d, uint32_t fault) {
  uint32_t share = d->shares[fault];
  int yes = share > 0 && disk_random(d) % 1000 < share;
  d->faults[fault] += (uint64_t)yes;
  return yes;
}

static inline int disk_is_full(disk *d) {
  if (d->full_until > d->calls) return 1;
  if (!disk_fails(d, FAULT_CAPACITY)) return 0;
  d->full_until = d->calls + 5 + disk_random(d) % 60;
  return 1;
}

static inline void disk_free(disk *d) {
  disk_clear_log(d);
  free(d->log);
  free(d->durable);
  free(d->current);
  free(d->former);
  free(d->healthy);
  free(d->is_damaged);
  memset(d, 0, sizeof *d);
}

static inline void disk_format(disk *d, uint64_t slots, uint32_t page_size, uint64_t seed) {
  disk_free(d);
  d->slots = slots;
  d->page_size = page_size;
  d->random = seed;
  d->durable = calloc(slots, page_size);
  d->current = calloc(slots, page_size);
  d->former = calloc(slots, page_size);
  d->healthy = calloc(slots, page_size);
  d->is_damaged = calloc(slots, 1);
}

static inline uint8_t *disk_copied(const uint8_t *bytes, size_t count) { return memcpy(malloc(count), bytes, count); }

// A disk as another one is now, what was not synced included.
static inline void disk_copy(disk *d, const disk *other) {
  disk_free(d);
  *d = *other;
  size_t bytes = other->slots * other->page_size;
  d->durable = disk_copied(other->durable, bytes);
  d->current = disk_copied(other->current, bytes);
  d->former = disk_copied(other->former, bytes);
  d->healthy = disk_copied(other->healthy, bytes);
  d->is_damaged = disk_copied(other->is_damaged, other->slots);
  d->log = 0;
  d->log_count = d->log_room = 0;
  for (size_t i = 0; i < other->log_count; i++) disk_append(d, other->log[i].slot, other->log[i].data);
}

// The power comes back: what was not synced is there in part, in any order, torn.
static inline void disk_crash(disk *d) {
  for (size_t i = d->log_count; i > 1; i--) {
    size_t other = disk_random(d) % i;
    entry moved = d->log[i - 1];
    d->log[i - 1] = d->log[other];
    d->log[other] = moved;
  }
  uint32_t sectors = d->page_size / SECTOR;
  uint64_t kept = disk_random(d) % 5;
  for (size_t i = 0; i < d->log_count; i++) {
    if (disk_random(d) % 4 >= kept) continue;
    disk_apply(d, &d->log[i], disk_random(d) % 4 == 0 ? disk_random(d) % sectors * SECTOR : d->page_size);
  }
  disk_clear_log(d);
  memcpy(d->current, d->durable, d->slots * d->page_size);
  d->is_dead = 0;
  d->sync_failed = 0;
  d->dies_at = d->full_until = 0;
}

// A slot holds other bytes from now on, after a crash too: what it held before its last write, or a bit turned over.
static inline void disk_damage(disk *d, uint64_t slot, int is_stale, uint64_t bit) {
  if (d->is_damaged[slot]) return;
  uint8_t *current = disk_slot(d, d->current, slot), *former = disk_slot(d, d->former, slot);
  memcpy(disk_slot(d, d->healthy, slot), current, d->page_size);
  if (is_stale && memcmp(current, former, d->page_size) != 0) memcpy(current, former, d->page_size);
  else current[bit / 8 % d->page_size] ^= (uint8_t)(1u << bit % 8);
  d->is_damaged[slot] = 1;
  memcpy(disk_slot(d, d->durable, slot), current, d->page_size);
  for (size_t i = 0; i < d->log_count; i++) {
    if (d->log[i].slot == slot && d->log[i].data) memcpy(d->log[i].data, current, d->page_size);
  }
}

static inline void disk_repair(disk *d) {
  for (uint64_t slot = 0; slot < d->slots; slot++) {
    if (!d->is_damaged[slot]) continue;
    d->is_damaged[slot] = 0;
    memcpy(disk_slot(d, d->current, slot), disk_slot(d, d->healthy, slot), d->page_size);
    memcpy(disk_slot(d, d->durable, slot), disk_slot(d, d->healthy, slot), d->page_size);
  }
}
#endif
