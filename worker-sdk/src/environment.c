#include <errno.h>
#include <fcntl.h>
#include <holdfast/bus_channel.h>
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

/* O_NONBLOCK belongs to the open file, which the supervisor holds as well: it is looked at and never changed. */
static int check_socket(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  const int error = flags < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
  if (error != 0) {
    hf_set_error("use descriptor %d, which " HF_ENV_SOCKETS
                 " names: %s; was it closed before hf_open, or lost in a wrapper script?",
                 descriptor, strerror(error));
    return -error;
  }
  if ((flags & O_NONBLOCK) != 0) return 0;
  hf_set_error("use descriptor %d, which " HF_ENV_SOCKETS
               " names: it is in blocking mode, so waiting for one client would stop all; something has changed it "
               "since the supervisor made it",
               descriptor);
  return -EINVAL;
}

/* One item of HOLDFAST_SOCKETS, up to `end`. */
static int read_socket(struct hf_worker* worker, size_t listener, const char* item, const char* end) {
  if (end - item == 1 && item[0] == '-') return 0;
  char* behind = NULL;
  errno = 0;
  const unsigned long descriptor = strtoul(item, &behind, 10);
  if (item[0] < '0' || item[0] > '9' || behind != end || errno != 0 || descriptor > INT32_MAX) {
    hf_set_error("read the environment: " HF_ENV_SOCKETS
                 " is \"%.100s\", not a list of numbers and \"-\"; only the supervisor should set it",
                 getenv(HF_ENV_SOCKETS));
    return -EINVAL;
  }
  const int status = check_socket((int)descriptor);
  return status < 0 ? status : hf_adopt_socket(worker, listener, (int)descriptor, HF_ENV_SOCKETS);
}

static int read_sockets(struct hf_worker* worker) {
  const size_t listeners = worker->info.listeners;
  int status = hf_make_room_for_sockets(worker, listeners);
  const char* text = getenv(HF_ENV_SOCKETS);
  if (status < 0 || text == NULL || text[0] == '\0') return status;
  size_t items = 1;
  for (const char* at = text; *at != '\0'; ++at) items += *at == ',';
  if (items != listeners) {
    hf_set_error("read the environment: " HF_ENV_SOCKETS " has %zu items for %zu listeners of " HF_ENV_LISTENERS
                 "; only the supervisor should set them",
                 items, listeners);
    return -EINVAL;
  }
  for (size_t i = 0; status == 0 && i < items; ++i) {
    const char* end = text + strcspn(text, ",");
    status = read_socket(worker, i, text, end);
    text = end + 1;
  }
  return status;
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
  if (status == 0) status = read_descriptor(HF_ENV_BUS, &worker->bus_descriptor);

  uint64_t slot = 0;
  uint64_t slots = 1;
  uint64_t generation = 0;
  uint64_t heartbeat = 0;
  if (status == 0) status = read_number(HF_ENV_SLOT, UINT32_MAX, &slot);
  if (status == 0) status = read_number(HF_ENV_SLOTS, UINT32_MAX, &slots);
  if (status == 0) status = read_number(HF_ENV_GENERATION, UINT32_MAX, &generation);
  if (status == 0) status = read_number(HF_ENV_HEARTBEAT, UINT32_MAX, &heartbeat);
  if (status == 0) status = read_names(worker);
  if (status == 0) status = read_sockets(worker);
  worker->info.slot = (uint32_t)slot;
  worker->info.slots = (uint32_t)slots;
  worker->info.generation = (uint32_t)generation;
  worker->info.heartbeat_ns = heartbeat * 1000000u;
  worker->info.plane = hf_plane_text(worker->has_sockets ? HF_PLANE_STEER : HF_PLANE_PASS);
  worker->id_base = UINT64_C(1) << 63 | (uint64_t)getpid() << 32;
  return status;
}
