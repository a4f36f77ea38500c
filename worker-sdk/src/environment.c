#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* An unsigned decimal of the environment. A variable that is not there leaves `*value` as it is. */
static int read_number(const char* name, uint64_t maximum, uint64_t* value) {
  const char* text = getenv(name);
  if (text == NULL) return 0;
  char* end = NULL;
  errno = 0;
  const unsigned long long number = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > maximum) {
    hf_set_error("read the environment: %s is \"%.100s\", not a number up to %llu; only the supervisor should set it",
                 name, text, (unsigned long long)maximum);
    return -EINVAL;
  }
  *value = number;
  return 0;
}

static int read_descriptor(const char* name, int* descriptor) {
  uint64_t number = UINT64_MAX;
  const int status = read_number(name, INT32_MAX, &number);
  if (status < 0 || number == UINT64_MAX) return status;
  if (fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0) {
    const int error = errno;
    hf_set_error("use descriptor %d, which %s names: %s; was it closed before hf_open, or lost in a wrapper script?",
                 (int)number, name, strerror(error));
    return -error;
  }
  *descriptor = (int)number;
  return 0;
}

static int check_channel(int channel) {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(channel, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
    hf_set_error("use descriptor %d as the channel: it is not a SOCK_SEQPACKET socket; " HF_ENV_CHANNEL
                 " was not set by the supervisor",
                 channel);
    return -EINVAL;
  }
  return 0;
}

static int map_page(struct hf_worker* worker) {
  if (worker->page_descriptor < 0) {
    worker->page = &worker->own_page;
    return 0;
  }
  struct stat about;
  if (fstat(worker->page_descriptor, &about) < 0 || about.st_size < (off_t)HF_PAGE_SIZE) {
    hf_set_error("map the counter page (descriptor %d): it is shorter than a page", worker->page_descriptor);
    return -EINVAL;
  }
  void* page = mmap(NULL, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, worker->page_descriptor, 0);
  if (page == MAP_FAILED) {
    const int error = errno;
    hf_set_error("map the counter page (descriptor %d): %s", worker->page_descriptor, strerror(error));
    return -error;
  }
  worker->page = page;
  worker->has_page = true;
  if (worker->page->magic != HF_PAGE_MAGIC || worker->page->version == 0) {
    hf_set_error("map the counter page (descriptor %d): it is no page of this protocol", worker->page_descriptor);
    return -EINVAL;
  }
  return 0;
}

static int hexadecimal(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

/* Decodes %XX of one item in place. */
static void decode(char* text) {
  char* out = text;
  for (const char* in = text; *in != '\0'; ++in) {
    if (in[0] == '%' && hexadecimal(in[1]) >= 0 && hexadecimal(in[2]) >= 0) {
      *out++ = (char)(hexadecimal(in[1]) * 16 + hexadecimal(in[2]));
      in += 2;
    } else {
      *out++ = *in;
    }
  }
  *out = '\0';
}

/* Copies pool and listeners into worker->text and points the info at the copies. */
static int read_names(struct hf_worker* worker) {
  const char* pool = getenv(HF_ENV_POOL) != NULL ? getenv(HF_ENV_POOL) : "";
  const char* listeners = getenv(HF_ENV_LISTENERS) != NULL ? getenv(HF_ENV_LISTENERS) : "";
  size_t count = listeners[0] != '\0';
  for (const char* at = listeners; *at != '\0'; ++at) count += *at == ',';

  const size_t pool_size = strlen(pool) + 1;
  worker->text = malloc(pool_size + strlen(listeners) + 1);
  worker->listeners = calloc(count + 1, sizeof *worker->listeners);
  if (worker->text == NULL || worker->listeners == NULL) {
    hf_set_error("open the worker: out of memory");
    return -ENOMEM;
  }
  memcpy(worker->text, pool, pool_size);
  worker->info.pool = worker->text;
  char* next = strcpy(worker->text + pool_size, listeners);
  for (size_t i = 0; i < count; ++i) {
    char* item = strsep(&next, ",");
    char* address = item;
    char* name = strsep(&address, "=");
    if (address == NULL) address = name + strlen(name);
    decode(name);
    decode(address);
    worker->listeners[i] = (struct hf_listener){.name = name, .address = address};
  }
  worker->info.listeners = count;
  worker->info.listener = worker->listeners;
  return 0;
}

int hf_read_environment(struct hf_worker* worker) {
  int status = read_descriptor(HF_ENV_CHANNEL, &worker->channel);
  if (status == 0) status = check_channel(worker->channel);
  if (status == 0) status = read_descriptor(HF_ENV_PAGE, &worker->page_descriptor);
  if (status == 0) status = map_page(worker);

  uint64_t slot = 0;
  uint64_t slots = 1;
  uint64_t generation = 0;
  uint64_t heartbeat = 0;
  if (status == 0) status = read_number(HF_ENV_SLOT, UINT32_MAX, &slot);
  if (status == 0) status = read_number(HF_ENV_SLOTS, UINT32_MAX, &slots);
  if (status == 0) status = read_number(HF_ENV_GENERATION, UINT32_MAX, &generation);
  if (status == 0) status = read_number(HF_ENV_HEARTBEAT, UINT32_MAX, &heartbeat);
  if (status == 0) status = read_names(worker);
  worker->info.slot = (uint32_t)slot;
  worker->info.slots = (uint32_t)slots;
  worker->info.generation = (uint32_t)generation;
  worker->info.heartbeat_ns = heartbeat * 1000000u;
  worker->info.plane = "pass";
  return status;
}
