/* SPDX-License-Identifier: Apache-2.0 */
#include "stowage_key_memory.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Where a block came from. */
typedef struct source {
  stowage_key_memory_allocate allocate;
  stowage_key_memory_free free;
  uint64_t owner;
  uint32_t kind;
} source;

/* Before each block of the host. */
typedef struct head {
  source source;
  size_t size; /* of the block, without its head */
} head;

enum { HEAD = 64, WINDOW = 32, PLACES = 8192 };
_Static_assert(sizeof(head) <= HEAD, "the block stays aligned to a cache line");

static _Thread_local source scope;

/* The blocks of the host that are in use, by address: found without a lock, and without looking at memory of others.
 * A block stands in one of WINDOW places from that of its hash on. */
static _Atomic uintptr_t blocks[PLACES + WINDOW];

static _Atomic uintptr_t *window(const void *block) {
  return blocks + ((uint64_t)(uintptr_t)block * UINT64_C(0x9E3779B97F4A7C15) >> 51);
}

static int note(void *block) {
  _Atomic uintptr_t *places = window(block);
  for (int index = 0; index < WINDOW; index++) {
    uintptr_t none = 0;
    if (atomic_compare_exchange_strong(&places[index], &none, (uintptr_t)block)) return 1;
  }
  return 0;
}

/* The place of a block of ours, or null: then it is the C library's. */
static _Atomic uintptr_t *find(const void *block) {
  _Atomic uintptr_t *places = window(block);
  for (int index = 0; index < WINDOW; index++)
    if (atomic_load_explicit(&places[index], memory_order_relaxed) == (uintptr_t)block) return &places[index];
  return NULL;
}

static head *head_of(void *block) { return (head *)((char *)block - HEAD); }

static void *take(const source *from, size_t size) {
  if (size == 0 || size > SIZE_MAX - HEAD) return NULL;
  char *memory = from->allocate(from->owner, HEAD + size, 64, from->kind);
  if (!memory) return NULL;
  *(head *)memory = (head){*from, size};
  if (note(memory + HEAD)) return memory + HEAD;
  from->free(from->owner, memory, HEAD + size, from->kind);
  return NULL;
}

/* The host wipes what is freed of this kind. */
static void give_back(void *block, _Atomic uintptr_t *place) {
  const head ours = *head_of(block);
  atomic_store(place, 0);
  OPENSSL_cleanse(block, ours.size);
  ours.source.free(ours.source.owner, head_of(block), HEAD + ours.size, ours.source.kind);
}

/* OpenSSL keeps its notes on errors, one set for each thread: they hold no keys, and stay after the scope. */
static int is_note(const char *file) { return file && strstr(file, "crypto/err/"); }

static void *allocate(size_t size, const char *file, int line) {
  (void)line;
  if (scope.allocate && !is_note(file)) return take(&scope, size);
  return size ? malloc(size) : NULL;
}

static void release(void *block, const char *file, int line) {
  (void)file, (void)line;
  if (!block) return;
  _Atomic uintptr_t *place = find(block);
  if (place)
    give_back(block, place);
  else
    free(block);
}

static void *reallocate(void *block, size_t size, const char *file, int line) {
  if (!block) return allocate(size, file, line);
  if (!size) {
    release(block, file, line);
    return NULL;
  }
  _Atomic uintptr_t *place = find(block);
  if (!place) return realloc(block, size);
  const head ours = *head_of(block);
  void *other = take(&ours.source, size);
  if (!other) return NULL;
  memcpy(other, block, ours.size < size ? ours.size : size);
  give_back(block, place);
  return other;
}

_Bool stowage_key_memory_install(void) {
  CRYPTO_malloc_fn present;
  CRYPTO_get_mem_functions(&present, NULL, NULL);
  if (present == allocate) return 1;
  /* A program with functions of its own keeps them: its blocks would come to ours to be freed. */
  if (present != CRYPTO_malloc) return 0;
  return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1;
}

void stowage_key_memory_begin(stowage_key_memory_allocate allocate_of_host, stowage_key_memory_free free_of_host,
                              uint64_t owner, uint32_t kind) {
  scope = (source){allocate_of_host, free_of_host, owner, kind};
}

void stowage_key_memory_end(void) { scope = (source){0}; }
