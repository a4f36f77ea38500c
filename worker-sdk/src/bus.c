/* Messages out. They are gathered in one frame, which goes out when it is full or before the program sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bus_internal.h"

_Static_assert(sizeof(struct hf_bus_record) == 48, "PROTOCOL.md");
_Static_assert(sizeof(struct hf_bus_welcome) == 32, "PROTOCOL.md");
_Static_assert(sizeof(struct hf_bus_pool) == 24, "PROTOCOL.md");

static size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

/* ---- sending ---- */

static void forget_gathered(struct hf_bus* bus) {
  for (unsigned i = 0; i < bus->out_descriptors; ++i) (void)close(bus->out_descriptor[i]);
  bus->out_length = 0;
  bus->out_count = 0;
  bus->out_descriptors = 0;
}

void hf_bus_end(struct hf_bus* bus) {
  forget_gathered(bus);
  if (bus->descriptor >= 0) (void)close(bus->descriptor); /* which takes it out of the epoll set, too */
  bus->descriptor = -1;
}

static int send_frame(struct hf_bus* bus, const void* frame, size_t length, const int* descriptors, unsigned count) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(HF_BUS_MAX_MEMFDS * sizeof(int))];
  struct iovec bytes = {.iov_base = (void*)(uintptr_t)frame, .iov_len = length};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
  }
  for (;;) {
    if (sendmsg(bus->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno == EINTR) continue;
    return errno == EPIPE || errno == ECONNRESET ? -EPIPE : -EAGAIN;
  }
}

static int flush(struct hf_bus* bus) {
  if (bus->descriptor < 0) return -EPIPE;
  int status = 0;
  if (bus->out_length > 0) {
    const struct hf_frame_header header = {.type = HF_BUS_MESSAGES, .count = bus->out_count, .length = bus->out_length};
    memcpy(bus->out, &header, sizeof header);
    status = send_frame(bus, bus->out, bus->out_length, bus->out_descriptor, bus->out_descriptors);
    if (status != -EAGAIN) forget_gathered(bus);
  }
  if (status == 0 && bus->refusal == HF_BUS_REFUSED) bus->refusal = HF_BUS_ROOM_UNTOLD;
  return status;
}

/* What waits to go out makes hf_fd readable, and so does the room for what was refused, unless hf_next is about to be
 * called anyway. */
void hf_bus_watch(struct hf_worker* worker) {
  struct hf_bus* bus = worker->bus;
  if (bus == NULL || bus->descriptor < 0) return;
  const bool waits = bus->out_length > 0 || bus->refusal != HF_BUS_NO_REFUSAL;
  const uint32_t wanted = EPOLLIN | (waits && !worker->expects_next ? (uint32_t)EPOLLOUT : 0);
  if (wanted == bus->watched) return;
  bus->watched = wanted;
  hf_watch_bus(worker, bus->descriptor, wanted);
}

void hf_bus_send_gathered(struct hf_worker* worker) {
  struct hf_bus* bus = worker->bus;
  if (bus == NULL || bus->descriptor < 0) return;
  (void)flush(bus);
  hf_bus_watch(worker);
}

void hf_bus_on_room(struct hf_worker* worker, bool told) {
  struct hf_bus* bus = worker->bus;
  if (bus == NULL) return;
  if (bus->refusal == HF_BUS_ROOM_SHOWN || (bus->refusal == HF_BUS_ROOM_UNTOLD && told)) {
    bus->refusal = HF_BUS_NO_REFUSAL;
  } else if (bus->refusal == HF_BUS_ROOM_UNTOLD) {
    bus->refusal = HF_BUS_ROOM_SHOWN;
  }
  hf_bus_watch(worker);
}

/* ---- joining ---- */

static int out_of_reach(int status) {
  hf_set_error(status == -EPIPE ? "use the bus: it has ended for this worker"
                                : "use the bus: there is none; it needs a supervisor, and one with a bus");
  return status;
}

static int join(struct hf_worker* worker) {
  if (worker->bus != NULL) return worker->bus->descriptor < 0 ? out_of_reach(-EPIPE) : 0;
  if (worker->bus_descriptor < 0) return out_of_reach(-ENOTCONN);
  struct hf_bus* bus = calloc(1, sizeof *bus);
  if (bus == NULL) {
    hf_set_error("use the bus: out of memory");
    return -ENOMEM;
  }
  bus->descriptor = worker->bus_descriptor;
  worker->bus_descriptor = -1;
  worker->bus = bus;
  worker->sole = worker->may_guess = false; /* from here on there is one source more to ask */
  const struct hf_bus_join frame = {.header = {.type = HF_BUS_JOIN, .length = sizeof frame},
                                    .version = HF_PROTOCOL_VERSION};
  (void)send_frame(bus, &frame, sizeof frame, NULL,
                   0); /* the first one fits; if the other end is gone, reading tells */
  hf_bus_watch(worker);
  return 0;
}

/* What a program says last: the supervisor takes it soon, or it is gone or stands still. At most for three seconds. */
static void send_last(struct hf_bus* bus) {
  struct pollfd channel = {.fd = bus->descriptor, .events = POLLOUT};
  for (int i = 0; i < 300 && flush(bus) == -EAGAIN; ++i) (void)poll(&channel, 1, 10);
}

void hf_close_bus(struct hf_worker* worker) {
  if (worker->bus_descriptor >= 0) (void)close(worker->bus_descriptor);
  struct hf_bus* bus = worker->bus;
  if (bus == NULL) return;
  if (bus->descriptor >= 0) send_last(bus);
  hf_bus_end(bus);
  while (bus->in_descriptor_next < bus->in_descriptors) (void)close(bus->in_descriptor[bus->in_descriptor_next++]);
  if (bus->map != NULL) (void)munmap(bus->map, bus->map_size);
  free(bus->members);
  free(bus->coming);
  free(bus);
}

/* ---- names ---- */

enum wildcards { NO_WILDCARDS, WILDCARDS };

static int check_length(const char* what, const char* text, size_t length) {
  if (length <= HF_BUS_MAX_NAME) return 0;
  hf_set_error("%s \"%.40s...\" has %zu bytes: %u are the most", what, text, length, HF_BUS_MAX_NAME);
  return -ENAMETOOLONG;
}

static bool is_segment(const char* text, size_t length, enum wildcards wildcards) {
  if (length == 0) return false;
  if (wildcards == WILDCARDS && text[0] == '*') return length == 1 || (length == 2 && text[1] == '*');
  for (size_t i = 0; i < length; ++i)
    if ((unsigned char)text[i] <= ' ' || text[i] == '*' || text[i] == 0x7f) return false;
  return true;
}

static int check_topic(const char* text, enum wildcards wildcards) {
  const char* what = wildcards == WILDCARDS ? "the pattern" : "the topic";
  const int status = check_length(what, text, strlen(text));
  if (status < 0) return status;
  unsigned segments = 0;
  unsigned deep = 0;
  bool good = true;
  for (const char* at = text; good; ++at) {
    const size_t length = strcspn(at, ".");
    good = is_segment(at, length, wildcards) && ++segments <= 32;
    deep += length == 2 && at[0] == '*';
    at += length;
    if (*at == '\0') break;
  }
  if (good && deep <= 2) return 0;
  hf_set_error("%s \"%s\": write up to 32 segments divided by dots, none empty, without spaces%s", what, text,
               wildcards == WILDCARDS ? "; a segment may be * or ** (at most two of these)" : " and *");
  return -EINVAL;
}

/* ---- records ---- */

/* Fills a sealed memfd: whoever gets it can rely on its bytes to stay. */
static int make_memfd(const void* data, size_t size) {
  const int descriptor = memfd_create("holdfast-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) goto failed;
  for (size_t done = 0; done < size;) {
    const ssize_t written = write(descriptor, (const char*)data + done, size - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) goto failed;
    done += (size_t)written;
  }
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) goto failed;
  return descriptor;
failed:;
  const int error = errno;
  if (descriptor >= 0) (void)close(descriptor);
  hf_set_error("put a message of %zu bytes into memory that can be shared: %s", size, strerror(error));
  return -error;
}

/* Makes room in the frame that is gathered. */
static int reserve(struct hf_worker* worker, size_t length, unsigned descriptors) {
  struct hf_bus* bus = worker->bus;
  const size_t begin = bus->out_length > 0 ? bus->out_length : sizeof(struct hf_frame_header);
  if (begin + length <= HF_BUS_MAX_FRAME && bus->out_descriptors + descriptors <= HF_BUS_MAX_MEMFDS &&
      bus->out_count < UINT16_MAX)
    return 0;
  const int status = flush(bus);
  if (status == -EPIPE) return out_of_reach(status);
  if (status == -EAGAIN) {
    hf_set_error("use the bus: the supervisor takes no more from this worker now; go on when hf_fd is readable");
    bus->refusal = HF_BUS_REFUSED;
    hf_bus_watch(worker);
  }
  return status;
}

struct outgoing {
  uint16_t kind;
  const char* name;
  const char* key;
  const void* data;
  size_t size;
  int32_t status;
  uint64_t call;
};

static int append(struct hf_worker* worker, const struct outgoing* message) {
  if (message->size > HF_BUS_MAX_MESSAGE) {
    hf_set_error("send a message of %zu bytes: %u are the most", message->size, HF_BUS_MAX_MESSAGE);
    return -EMSGSIZE;
  }
  struct hf_bus* bus = worker->bus;
  const bool large = message->size > HF_BUS_MAX_INLINE;
  const size_t name_length = strlen(message->name);
  const size_t key_length = strlen(message->key);
  const size_t names = padded(name_length + key_length + 2);
  const size_t length = sizeof(struct hf_bus_record) + names + (large ? 0 : padded(message->size));
  int status = reserve(worker, length, large);
  if (status < 0) return status;
  if (large) {
    status = make_memfd(message->data, message->size);
    if (status < 0) return status;
    bus->out_descriptor[bus->out_descriptors++] = status;
  }
  const struct hf_bus_record record = {.length = (uint32_t)length,
                                       .kind = message->kind,
                                       .flags = large ? HF_BUS_LARGE : 0,
                                       .name_length = (uint16_t)name_length,
                                       .key_length = (uint16_t)key_length,
                                       .size = (uint32_t)message->size,
                                       .status = message->status,
                                       .call = message->call};
  if (bus->out_length == 0) bus->out_length = sizeof(struct hf_frame_header);
  unsigned char* at = bus->out + bus->out_length;
  memset(at + sizeof record, 0, names);
  memcpy(at, &record, sizeof record);
  memcpy(at + sizeof record, message->name, name_length);
  memcpy(at + sizeof record + name_length + 1, message->key, key_length);
  if (!large && message->size > 0) {
    memset(at + length - 8, 0, 8); /* the padding */
    memcpy(at + sizeof record + names, message->data, message->size);
  }
  bus->out_length += (uint32_t)length;
  ++bus->out_count;
  hf_bus_watch(worker);
  return 0;
}

int hf_publish(struct hf_worker* worker, const char* topic, const void* data, size_t size) {
  int status = join(worker);
  if (status == 0) status = check_topic(topic, NO_WILDCARDS);
  if (status < 0) return status;
  return append(worker,
                &(struct outgoing){.kind = HF_BUS_PUBLISH, .name = topic, .key = "", .data = data, .size = size});
}

/* ---- to one worker ---- */

static int find_pool(const struct hf_bus* bus, const char* pool) {
  if (!bus->members_known) return 0; /* the supervisor finds out */
  int status = -ENOENT;
  for (size_t at = 0; at < bus->members_size;) {
    struct hf_bus_pool entry;
    memcpy(&entry, bus->members + at, sizeof entry);
    const char* name = (const char*)bus->members + at + sizeof entry;
    if (strcmp(name, pool) == 0) {
      status = status == -ENOENT ? -EHOSTUNREACH : status;
      const unsigned char* bits = bus->members + at + sizeof entry + padded(entry.name_length + 1u);
      for (unsigned slot = 0; slot < entry.slots; ++slot)
        if ((bits[slot / 8] >> (slot % 8) & 1) != 0) return 0;
    }
    at += entry.length;
  }
  hf_set_error(status == -ENOENT ? "send to pool \"%s\": there is none of that name"
                                 : "send to pool \"%s\": none of its slots has a worker now",
               pool);
  return status;
}

static int send_to(struct hf_worker* worker, struct outgoing* message) {
  int status = join(worker);
  if (status < 0) return status;
  if (message->name == NULL) message->name = worker->info.pool;
  status = check_length("the name of the pool", message->name, strlen(message->name));
  if (status == 0) status = check_length("the key", message->key, strlen(message->key));
  if (status == 0) status = find_pool(worker->bus, message->name);
  if (status < 0) return status;
  message->call = worker->bus->last_call + 1;
  status = append(worker, message);
  if (status == 0) ++worker->bus->last_call;
  return status;
}

int hf_send(struct hf_worker* worker, const char* pool, const char* key, const void* data, size_t size) {
  return send_to(worker, &(struct outgoing){.kind = HF_BUS_SEND, .name = pool, .key = key, .data = data, .size = size});
}

int hf_call(struct hf_worker* worker, const char* pool, const char* key, const void* data, size_t size,
            uint32_t timeout_ms, uint64_t* call) {
  struct outgoing message = {.kind = HF_BUS_CALL, .name = pool, .key = key, .data = data, .size = size};
  message.status = (int32_t)(timeout_ms < HF_BUS_LONGEST_CALL_MS ? timeout_ms : HF_BUS_LONGEST_CALL_MS);
  const int status = send_to(worker, &message);
  if (status == 0) *call = message.call;
  return status;
}

int hf_reply(struct hf_worker* worker, uint64_t call, const void* data, size_t size) {
  const int status = join(worker);
  if (status < 0) return status;
  return append(worker, &(struct outgoing){
                            .kind = HF_BUS_REPLY, .name = "", .key = "", .data = data, .size = size, .call = call});
}

/* ---- subscriptions and members ---- */

static int send_subscription(struct hf_worker* worker, uint16_t type, const char* pattern, uint64_t after) {
  int status = join(worker);
  if (status == 0) status = check_topic(pattern, WILDCARDS);
  if (status < 0) return status;
  const size_t length = strlen(pattern);
  unsigned char frame[sizeof(struct hf_bus_subscription) + HF_BUS_MAX_NAME];
  const struct hf_bus_subscription head = {.header = {.type = type, .length = (uint32_t)(sizeof head + length)},
                                           .after = after};
  memcpy(frame, &head, sizeof head);
  memcpy(frame + sizeof head, pattern, length);
  status = flush(worker->bus); /* what was published before is not for this subscription */
  if (status == 0) status = send_frame(worker->bus, frame, sizeof head + length, NULL, 0);
  if (status == -EAGAIN) worker->bus->refusal = HF_BUS_REFUSED;
  hf_bus_watch(worker);
  if (status == -EPIPE) return out_of_reach(status);
  if (status < 0) hf_set_error("subscribe: the supervisor takes no more from this worker now; try again later");
  return status;
}

int hf_subscribe(struct hf_worker* worker, const char* pattern, uint64_t after) {
  return send_subscription(worker, HF_BUS_SUBSCRIBE, pattern, after);
}

int hf_unsubscribe(struct hf_worker* worker, const char* pattern) {
  return send_subscription(worker, HF_BUS_UNSUBSCRIBE, pattern, 0);
}

int hf_members(struct hf_worker* worker, const char* pool, struct hf_member* members, size_t room) {
  int status = join(worker);
  if (status < 0) return status;
  const struct hf_bus* bus = worker->bus;
  if (!bus->members_known) {
    hf_set_error("ask for the members of a pool: the supervisor has not told yet; wait for HF_EVENT_MEMBERS");
    return -EAGAIN;
  }
  if (pool == NULL) pool = worker->info.pool;
  int count = 0;
  for (size_t at = 0; at < bus->members_size;) {
    struct hf_bus_pool entry;
    memcpy(&entry, bus->members + at, sizeof entry);
    const unsigned char* bits = bus->members + at + sizeof entry + padded(entry.name_length + 1u);
    const bool is_it = strcmp((const char*)bus->members + at + sizeof entry, pool) == 0;
    for (uint32_t slot = 0; is_it && slot < entry.slots; ++slot) {
      if ((bits[slot / 8] >> (slot % 8) & 1) == 0) continue;
      if ((size_t)count < room) members[count] = (struct hf_member){.node = entry.node, .slot = slot};
      ++count;
    }
    at += entry.length;
  }
  return count;
}

int hf_bus_flush(struct hf_worker* worker) {
  int status = join(worker);
  if (status < 0) return status;
  status = flush(worker->bus);
  if (status == -EAGAIN) worker->bus->refusal = HF_BUS_REFUSED;
  hf_bus_watch(worker);
  return status == -EPIPE ? out_of_reach(status) : status;
}
