// SPDX-License-Identifier: Apache-2.0
//
// A backing that keeps every rule, for the fixtures beside this file to break one of. FIXTURE_NAME comes from the
// build; a fixture may define, before it includes this file:
//
//   PERSISTENT  slots and root in the file that the option 'path' names; otherwise they are in memory
//   ASYNC       submit; a thread of the instance's own serves the requests, not in order
//   MAPPED      slots can be read in place
//   STORAGE     with PERSISTENT: under a host that offers stowage.host.storage/1 what would be in the file is kept
//               there, and in memory for reading
//   THREADS
//
// The file: the page size and the two copies of the root in the first 64 KiB, then the slots, all mapped into memory. A
// copy of the root holds a generation, a length, the bytes and a checksum; the whole one of the higher generation
// holds.
#ifndef GOOD_BACKING_H
#define GOOD_BACKING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stowage/extensions.h>
#include <stowage/tier.h>

#ifndef THREADS
#define THREADS STOWAGE_THREADS_PARALLEL
#endif

enum { SLOTS = 2048, HEAD = 65536, QUEUE = 64 };

#define FIXTURE(...)                                                 \
  const stowage_tier *stowage_tier_entry(const stowage_host *host) { \
    good_host = host;                                                \
    __VA_ARGS__;                                                     \
    return &good_tier;                                               \
  }

#define READ_PARAMETERS                                                                                  \
  stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count, uint8_t *buffer, \
      const stowage_object *objects
#define READ_ARGUMENTS instance, context, slot, count, buffer, objects
#define WRITE_PARAMETERS                                                                                       \
  stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count, const uint8_t *buffer, \
      const stowage_object *objects
#define WRITE_ARGUMENTS READ_ARGUMENTS
#define SWAP_PARAMETERS                                                                               \
  stowage_instance *instance, const uint8_t *expected, size_t expected_length, const uint8_t *new_root, \
      size_t new_length
#define SWAP_ARGUMENTS instance, expected, expected_length, new_root, new_length

typedef struct {
  uint64_t generation, length, sum;
  uint8_t bytes[STOWAGE_ROOT_BYTES_MAX];
} good_root;

typedef struct {
  uint64_t page_size;
  good_root roots[2];
} good_head;

// `notes` are for fixtures.
struct stowage_instance {
  uint64_t owner;
  uint32_t page_size;
  int file;
  size_t bytes;
  good_head *head;
  uint8_t *pages;
  stowage_storage *storage;
  pthread_mutex_t lock;
  uint64_t notes[4];
  uint8_t writes[SLOTS];
  pthread_t thread;
  pthread_cond_t queued;
  stowage_request *queue[QUEUE];
  uint32_t queued_count, turn;
  int stopping;
};

static const stowage_host *good_host;

static inline int32_t good_say(int32_t code, const char *text) {
  good_host->set_error(text, strlen(text));
  return code;
}

// ---- Storage of the host's

static const stowage_storage_extension *good_storage;

// Keeps what was changed in memory.
static inline int32_t good_keep(stowage_instance *instance, const void *bytes, size_t count) {
  if (!instance->storage) return STOWAGE_OK;
  uint64_t offset = (uint64_t)((const uint8_t *)bytes - (const uint8_t *)instance->head);
  return good_storage->pwrite(instance->storage, bytes, count, offset);
}

#ifdef STORAGE
static inline int32_t good_open_storage(stowage_instance *instance, const stowage_open *arguments) {
  int hasExtensions = good_host->struct_size >= sizeof *good_host && good_host->get_extension;
  good_storage = hasExtensions ? good_host->get_extension(STOWAGE_EXTENSION_STORAGE) : 0;
  if (!good_storage || !arguments->options[0].text) return STOWAGE_OK;
  return good_storage->open(arguments->options[0].text, &instance->storage);
}
#endif

// ---- Slots

static inline uint8_t *good_page(stowage_instance *instance, uint64_t slot) {
  return instance->pages + slot * instance->page_size;
}

static inline int32_t good_check(uint64_t slot, uint32_t count) {
  if (slot < SLOTS && count <= SLOTS - slot) return STOWAGE_OK;
  return good_say(STOWAGE_GONE, "there is no such slot");
}

static inline int32_t good_read(READ_PARAMETERS) {
  (void)context, (void)objects;
  if (good_check(slot, count) != STOWAGE_OK) return STOWAGE_GONE;
  memcpy(buffer, good_page(instance, slot), (size_t)count * instance->page_size);
  return STOWAGE_OK;
}

static inline int32_t good_write(WRITE_PARAMETERS) {
  (void)context, (void)objects;
  if (good_check(slot, count) != STOWAGE_OK) return STOWAGE_GONE;
  memcpy(good_page(instance, slot), buffer, (size_t)count * instance->page_size);
  return good_keep(instance, good_page(instance, slot), (size_t)count * instance->page_size);
}

static inline int32_t good_trim(stowage_instance *instance, stowage_context *context, uint64_t slot, uint32_t count) {
  (void)context;
  if (good_check(slot, count) != STOWAGE_OK) return STOWAGE_GONE;
  memset(good_page(instance, slot), 0xDB, (size_t)count * instance->page_size);
  return STOWAGE_OK;
}

static inline int32_t good_sync(stowage_instance *instance, stowage_context *context) {
  (void)context;
  if (instance->storage) return good_storage->sync(instance->storage);
  if (instance->file >= 0 && fdatasync(instance->file) != 0) return good_say(STOWAGE_IO, "the file cannot be synced");
  return STOWAGE_OK;
}

static inline int32_t good_capacity(stowage_instance *instance, stowage_capacity *capacity) {
  (void)instance;
  capacity->slots_total = SLOTS;
  return STOWAGE_OK;
}

#ifdef MAPPED
static inline const uint8_t *good_map(stowage_instance *instance, uint64_t slot) { return good_page(instance, slot); }
#endif

static inline int32_t good_health(stowage_instance *instance, stowage_health *health) {
  (void)instance;
  health->state = STOWAGE_HEALTH_GOOD;
  if (health->struct_size >= sizeof *health) health->message[0] = 0;
  return STOWAGE_OK;
}

// ---- The root

#ifdef PERSISTENT
static inline uint64_t good_sum(const good_root *root) {
  uint64_t sum = UINT64_C(0xCBF29CE484222325) ^ root->generation;
  sum = sum * UINT64_C(0x100000001B3) ^ root->length;
  for (size_t i = 0; i < root->length; i++) sum = (sum ^ root->bytes[i]) * UINT64_C(0x100000001B3);
  return sum;
}

// The copy that holds; null if there is none.
static inline good_root *good_current(stowage_instance *instance) {
  good_root *found = 0;
  for (int i = 0; i < 2; i++) {
    good_root *root = &instance->head->roots[i];
    int whole = root->generation != 0 && root->length <= STOWAGE_ROOT_BYTES_MAX && root->sum == good_sum(root);
    if (whole && (!found || root->generation > found->generation)) found = root;
  }
  return found;
}

static inline int32_t good_root_read(stowage_instance *instance, uint8_t *root, size_t room, size_t *length) {
  pthread_mutex_lock(&instance->lock);
  const good_root *current = good_current(instance);
  *length = current ? current->length : 0;
  int fits = *length <= room;
  if (fits && current) memcpy(root, current->bytes, current->length);
  pthread_mutex_unlock(&instance->lock);
  return fits ? STOWAGE_OK : good_say(STOWAGE_TOO_BIG, "the root is longer");
}

// Whether the root that holds is the expected one. With the lock held.
static inline int good_is_expected(stowage_instance *instance, const uint8_t *expected, size_t expected_length) {
  const good_root *current = good_current(instance);
  size_t length = current ? current->length : 0;
  return length == expected_length && (length == 0 || memcmp(expected, current->bytes, length) == 0);
}

// Puts a root where the older copy is. With the lock held.
static inline int32_t good_put_root(stowage_instance *instance, const uint8_t *bytes, size_t length) {
  const good_root *current = good_current(instance);
  good_root *next = &instance->head->roots[current == &instance->head->roots[0]];
  next->generation = 0;
  next->length = length;
  memcpy(next->bytes, bytes, length);
  good_root whole = *next;
  whole.generation = current ? current->generation + 1 : 1;
  next->sum = good_sum(&whole);
  __atomic_store_n(&next->generation, whole.generation, __ATOMIC_RELEASE);
  return good_keep(instance, next, sizeof *next);
}

static inline int32_t good_root_swap(SWAP_PARAMETERS) {
  if (new_length > STOWAGE_ROOT_BYTES_MAX) return good_say(STOWAGE_INVALID, "a root of more than 4096 bytes");
  pthread_mutex_lock(&instance->lock);
  int equals = good_is_expected(instance, expected, expected_length);
  int32_t code = equals ? good_put_root(instance, new_root, new_length) : STOWAGE_OK;
  pthread_mutex_unlock(&instance->lock);
  if (!equals) return good_say(STOWAGE_GONE, "the root is another one");
  return code == STOWAGE_OK ? good_sync(instance, 0) : code;
}
#endif

// ---- Requests

#ifdef ASYNC
static inline int32_t good_perform(stowage_instance *instance, stowage_request *request);

// A fixture sees each request on the tier's thread, and when it is completed.
static int32_t (*good_serve_one)(stowage_instance *, stowage_request *) = good_perform;
static inline void good_complete(stowage_instance *instance, stowage_request *request, int32_t result) {
  (void)instance;
  request->complete(request, result);
}
static void (*good_end_one)(stowage_instance *, stowage_request *, int32_t) = good_complete;

static stowage_backing good_table;

static inline int32_t good_perform(stowage_instance *instance, stowage_request *request) {
  switch (request->operation) {
    case STOWAGE_OPERATION_READ:
      return good_table.read(instance, 0, request->slot, request->slot_count, request->buffer, request->objects);
    case STOWAGE_OPERATION_WRITE:
      return good_table.write(instance, 0, request->slot, request->slot_count, request->buffer, request->objects);
    case STOWAGE_OPERATION_TRIM: return good_table.trim(instance, 0, request->slot, request->slot_count);
    case STOWAGE_OPERATION_SYNC: return good_table.sync(instance, 0);
    default: return good_say(STOWAGE_INVALID, "there is no such operation");
  }
}

static inline void *good_serve(void *argument) {
  stowage_instance *instance = argument;
  pthread_mutex_lock(&instance->lock);
  while (1) {
    while (instance->queued_count == 0 && !instance->stopping) pthread_cond_wait(&instance->queued, &instance->lock);
    if (instance->queued_count == 0) break;
    uint32_t at = instance->turn++ * 7 % instance->queued_count;
    stowage_request *request = instance->queue[at];
    instance->queue[at] = instance->queue[--instance->queued_count];
    pthread_mutex_unlock(&instance->lock);
    int32_t result = good_serve_one(instance, request);
    good_end_one(instance, request, result);
    pthread_mutex_lock(&instance->lock);
  }
  pthread_mutex_unlock(&instance->lock);
  return 0;
}

static inline int32_t good_submit(stowage_instance *instance, stowage_context *context,
                                  stowage_request *const *requests, uint32_t count, uint32_t *taken) {
  (void)context;
  *taken = 0;
  pthread_mutex_lock(&instance->lock);
  while (*taken < count && instance->queued_count < QUEUE) {
    instance->queue[instance->queued_count++] = requests[(*taken)++];
  }
  pthread_cond_signal(&instance->queued);
  pthread_mutex_unlock(&instance->lock);
  return *taken == count ? STOWAGE_OK : STOWAGE_RETRY;
}
#endif

// ---- Life

// Opens, locks and sizes the file.
#ifdef PERSISTENT
static inline int32_t good_open_file(stowage_instance *instance, const stowage_open *arguments) {
  const char *path = arguments->options[0].text;
  if (!path) return good_say(STOWAGE_INVALID, "the option 'path' is missing");
  instance->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (instance->file < 0) return good_say(STOWAGE_INVALID, "the file cannot be opened");
  if (flock(instance->file, LOCK_EX | LOCK_NB) != 0) return good_say(STOWAGE_RETRY, "the file is in use");
  if (ftruncate(instance->file, (off_t)instance->bytes) != 0) return good_say(STOWAGE_IO, "the file cannot be sized");
  return STOWAGE_OK;
}
#endif

// The slots in memory: the file's own pages, or what the storage holds.
static inline int32_t good_map_file(stowage_instance *instance, const stowage_open *arguments) {
  int32_t code = STOWAGE_OK;
  instance->file = -1;
#ifdef STORAGE
  code = good_open_storage(instance, arguments);
#endif
#ifdef PERSISTENT
  if (code == STOWAGE_OK && !instance->storage) code = good_open_file(instance, arguments);
#endif
  if (code != STOWAGE_OK) return code;
  int flags = instance->file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *memory = mmap(0, instance->bytes, PROT_READ | PROT_WRITE, flags, instance->file, 0);
  if (memory == MAP_FAILED) return good_say(STOWAGE_RETRY, "no memory for the slots");
  instance->head = memory;
  instance->pages = (uint8_t *)memory + HEAD;
  if (instance->storage && good_storage->pread(instance->storage, memory, instance->bytes, 0) != STOWAGE_OK)
    return good_say(STOWAGE_IO, "the storage cannot be read");
  if (instance->head->page_size != 0 && instance->head->page_size != arguments->page_size) {
    munmap(memory, instance->bytes);
    return good_say(STOWAGE_INVALID, "the file is for another page size");
  }
  instance->head->page_size = arguments->page_size;
  return good_keep(instance, &instance->head->page_size, sizeof instance->head->page_size);
}

static inline void good_free(stowage_instance *instance) {
  if (instance->storage) good_storage->close(instance->storage);
  if (instance->file >= 0) close(instance->file);
  good_host->memory_free(instance->owner, instance, sizeof *instance, STOWAGE_MEMORY_PLAIN);
}

static inline int32_t good_open(const stowage_open *arguments, stowage_instance **result) {
  uint32_t size = arguments->page_size;
  if (size < STOWAGE_PAGE_BYTES_MIN || size > STOWAGE_PAGE_BYTES_MAX || (size & (size - 1)) != 0)
    return good_say(STOWAGE_INVALID, "the page size is no power of two from 4096 to 65536");
  stowage_instance *instance = good_host->memory_allocate(arguments->owner, sizeof *instance, 64, STOWAGE_MEMORY_PLAIN);
  if (!instance) return good_say(STOWAGE_RETRY, "no memory for an instance");
  instance->owner = arguments->owner;
  instance->page_size = size;
  instance->bytes = HEAD + (size_t)SLOTS * size;
  int32_t code = good_map_file(instance, arguments);
  if (code != STOWAGE_OK) {
    good_free(instance);
    return code;
  }
  pthread_mutex_init(&instance->lock, 0);
#ifdef ASYNC
  pthread_cond_init(&instance->queued, 0);
  if (pthread_create(&instance->thread, 0, good_serve, instance) != 0) {
    munmap(instance->head, instance->bytes);
    good_free(instance);
    return good_say(STOWAGE_RETRY, "no thread for requests");
  }
#endif
  *result = instance;
  return STOWAGE_OK;
}

static inline void good_close(stowage_instance *instance) {
#ifdef ASYNC
  pthread_mutex_lock(&instance->lock);
  instance->stopping = 1;
  pthread_cond_signal(&instance->queued);
  pthread_mutex_unlock(&instance->lock);
  pthread_join(instance->thread, 0);
  pthread_cond_destroy(&instance->queued);
#endif
  pthread_mutex_destroy(&instance->lock);
  munmap(instance->head, instance->bytes);
  good_free(instance);
}

#ifdef PERSISTENT
static const stowage_option good_options[] = {
    {.key = "path", .help = "the file", .type = STOWAGE_OPTION_PATH, .flags = STOWAGE_OPTION_REQUIRED}};
#endif

static stowage_backing good_table = {.struct_size = sizeof(stowage_backing),
                                     .capacity = good_capacity,
                                     .read = good_read,
                                     .write = good_write,
                                     .trim = good_trim,
                                     .sync = good_sync,
#ifdef ASYNC
                                     .submit = good_submit,
#endif
#ifdef MAPPED
                                     .map = good_map,
#endif
#ifdef PERSISTENT
                                     .root_read = good_root_read,
                                     .root_swap = good_root_swap,
#endif
};

static stowage_tier good_tier = {.magic = STOWAGE_TIER_MAGIC,
                                 .struct_size = sizeof(stowage_tier),
                                 .abi_major = STOWAGE_ABI_MAJOR,
                                 .abi_minor = STOWAGE_ABI_MINOR,
                                 .role = STOWAGE_ROLE_BACKING,
                                 .access = STOWAGE_ACCESS_TERMINAL,
                                 .priority = 900,
                                 .thread_model = THREADS,
                                 .flags_optional = STOWAGE_FLAG_SWAP_SAFE,
                                 .name = FIXTURE_NAME,
                                 .version = "1.2.3",
                                 .summary = "A small backing for tests",
                                 .vendor = "Test",
                                 .licence = "Apache-2.0",
                                 .url = "https://example.org/tier",
#ifdef PERSISTENT
                                 .lifetime = STOWAGE_LIFETIME_PERSISTENT,
                                 .options = good_options,
                                 .option_count = 1,
#else
                                 .lifetime = STOWAGE_LIFETIME_TRANSIENT,
#endif
                                 .option_size = sizeof(stowage_option),
                                 .open = good_open,
                                 .close = good_close,
                                 .health = good_health,
                                 .backing = &good_table};

#endif
