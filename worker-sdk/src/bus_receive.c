/* Messages in. A frame is read whole, and its messages are given out where they lie. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bus_internal.h"

/* Frames that are read in one turn before others have theirs. */
enum { MAX_FRAMES = 4 };

static size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

static enum hf_event_type none(struct hf_event* event) { return event->type = HF_EVENT_NONE; }

static enum hf_event_type error(struct hf_event* event) {
  event->text = hf_error_text();
  return event->type = HF_EVENT_ERROR;
}

static void drop_frame(struct hf_bus* bus) {
  while (bus->in_descriptor_next < bus->in_descriptors) (void)close(bus->in_descriptor[bus->in_descriptor_next++]);
  bus->in_descriptor_next = bus->in_descriptors = 0;
  bus->in_left = 0;
}

static enum hf_event_type malformed(struct hf_bus* bus, struct hf_event* event, const char* what) {
  drop_frame(bus);
  hf_set_error("read a frame of the bus: %s; it was dropped", what);
  return error(event);
}

static bool supervisor_is_gone(const struct hf_worker* worker) {
  struct pollfd channel = {.fd = worker->channel};
  return poll(&channel, 1, 0) == 1 && (channel.revents & POLLHUP) != 0;
}

static enum hf_event_type ended(struct hf_worker* worker, struct hf_event* event) {
  hf_bus_end(worker->bus);
  if (supervisor_is_gone(worker)) return none(event); /* which HF_EVENT_GONE says */
  hf_set_error(
      "the bus has ended for this worker: it took its messages too slowly for the policy \"disconnect\", or broke the "
      "protocol; the supervisor's log says which");
  return error(event);
}

/* ---- messages ---- */

static enum hf_event_type kind_of_event(uint16_t kind) {
  switch (kind) {
    case HF_BUS_PUBLISH:
    case HF_BUS_SEND:
      return HF_EVENT_MESSAGE;
    case HF_BUS_CALL:
      return HF_EVENT_CALL;
    case HF_BUS_REPLY:
      return HF_EVENT_REPLY;
    default:
      return HF_EVENT_NONE; /* newer than we are */
  }
}

/* The data of a large message; false: it cannot be looked at. */
static bool map_large(struct hf_bus* bus, struct hf_message* message) {
  if (bus->in_descriptor_next == bus->in_descriptors) {
    hf_set_error("receive a message of %zu bytes: its descriptor was lost, this process is at its limit of open files",
                 message->size);
    return false;
  }
  const int descriptor = bus->in_descriptor[bus->in_descriptor_next++];
  void* map = mmap(NULL, message->size, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor, 0);
  const int failure = errno;
  (void)close(descriptor);
  if (map == MAP_FAILED) {
    hf_set_error("receive a message of %zu bytes: map it: %s", message->size, strerror(failure));
    return false;
  }
  bus->map = map;
  bus->map_size = message->size;
  message->data = map;
  return true;
}

static enum hf_event_type give_out(struct hf_bus* bus, struct hf_event* event) {
  struct hf_bus_record record;
  const unsigned char* at = bus->in + bus->in_offset;
  memcpy(&record, at, sizeof record);
  bus->in_offset += record.length;
  --bus->in_left;
  struct hf_message* message = &event->message;
  message->topic = (const char*)at + sizeof record;
  message->key = message->topic + record.name_length + 1;
  message->data = at + sizeof record + padded(record.name_length + record.key_length + 2u);
  message->size = record.size;
  message->sequence = record.sequence;
  message->call = record.call;
  message->node = record.node;
  message->publisher = record.publisher;
  message->is_own = record.node == 0 && record.publisher == bus->member;
  message->status = record.status;
  if ((record.flags & HF_BUS_LARGE) != 0 && !map_large(bus, message)) return error(event);
  return event->type = kind_of_event(record.kind);
}

/* Whether the frame holds all the records that it says. */
static bool records_fit(const struct hf_bus* bus, uint16_t count) {
  size_t offset = sizeof(struct hf_frame_header);
  for (uint16_t i = 0; i < count; ++i) {
    struct hf_bus_record record;
    if (bus->in_length - offset < sizeof record) return false;
    memcpy(&record, bus->in + offset, sizeof record);
    const size_t names = padded(record.name_length + record.key_length + 2u);
    const size_t data = (record.flags & HF_BUS_LARGE) != 0 ? 0 : padded(record.size);
    if (record.length % 8 != 0 || record.length > bus->in_length - offset) return false;
    if (record.name_length > HF_BUS_MAX_NAME || record.key_length > HF_BUS_MAX_NAME) return false;
    if (record.size > HF_BUS_MAX_MESSAGE || sizeof record + names + data > record.length) return false;
    const unsigned char* name = bus->in + offset + sizeof record;
    if (name[record.name_length] != '\0' || name[record.name_length + 1u + record.key_length] != '\0') return false;
    offset += record.length;
  }
  return true;
}

/* ---- members ---- */

/* Whether the frame holds all the pools that it says; `end`: of the last one. */
static bool pools_fit(const struct hf_bus* bus, uint16_t count, size_t* end, bool* more) {
  size_t offset = sizeof(struct hf_frame_header);
  for (uint16_t i = 0; i < count; ++i) {
    struct hf_bus_pool pool;
    if (bus->in_length - offset < sizeof pool) return false;
    memcpy(&pool, bus->in + offset, sizeof pool);
    const size_t needed = sizeof pool + padded(pool.name_length + 1u) + padded((pool.slots + 7u) / 8u);
    if (pool.length % 8 != 0 || pool.length > bus->in_length - offset || needed > pool.length) return false;
    if (bus->in[offset + sizeof pool + pool.name_length] != '\0') return false;
    *more = pool.more != 0;
    offset += pool.length;
  }
  *end = offset;
  return true;
}

static enum hf_event_type take_members(struct hf_bus* bus, struct hf_event* event, uint16_t count) {
  bool more = false;
  size_t end = 0;
  if (!pools_fit(bus, count, &end, &more)) return malformed(bus, event, "a list of pools makes no sense");
  const size_t size = end - sizeof(struct hf_frame_header); /* what is behind them is newer than we are */
  unsigned char* grown = realloc(bus->coming, bus->coming_size + size + 1);
  if (grown == NULL) return malformed(bus, event, "there is no memory for the list of pools");
  memcpy(grown + bus->coming_size, bus->in + sizeof(struct hf_frame_header), size);
  bus->coming = grown;
  bus->coming_size += size;
  if (more) return none(event);
  free(bus->members);
  bus->members = bus->coming;
  bus->members_size = bus->coming_size;
  bus->members_known = true;
  bus->coming = NULL;
  bus->coming_size = 0;
  return event->type = HF_EVENT_MEMBERS;
}

/* ---- frames ---- */

enum read_outcome { READ_FRAME, READ_NOTHING, READ_END, READ_BAD };

static enum read_outcome read_frame(struct hf_bus* bus) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(HF_BUS_MAX_MEMFDS * sizeof(int))];
  struct iovec bytes = {.iov_base = bus->in, .iov_len = sizeof bus->in};
  struct msghdr message = {
      .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length;
  do {
    length = recvmsg(bus->descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS ? READ_NOTHING : READ_END;
  for (struct cmsghdr* at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const size_t size = at->cmsg_len - CMSG_LEN(0);
    memcpy(bus->in_descriptor, CMSG_DATA(at), size);
    bus->in_descriptors = (unsigned)(size / sizeof(int));
  }
  if (length == 0) return READ_END;
  bus->in_length = (uint32_t)length;
  const bool whole = (message.msg_flags & MSG_TRUNC) == 0 && length >= (ssize_t)sizeof(struct hf_frame_header);
  return whole ? READ_FRAME : READ_BAD;
}

static enum hf_event_type take_frame(struct hf_bus* bus, struct hf_event* event) {
  struct hf_frame_header header;
  memcpy(&header, bus->in, sizeof header);
  if (header.length != bus->in_length) return malformed(bus, event, "its length is not the length of the message");
  switch (header.type) {
    case HF_BUS_MESSAGES:
      if (!records_fit(bus, header.count)) return malformed(bus, event, "a message in it is too short or too long");
      bus->in_left = header.count;
      bus->in_offset = sizeof header;
      return none(event);
    case HF_BUS_WELCOME: {
      struct hf_bus_welcome welcome;
      if (bus->in_length < sizeof welcome) return malformed(bus, event, "a WELCOME frame is too short");
      memcpy(&welcome, bus->in, sizeof welcome);
      bus->member = welcome.member;
      if (!bus->welcomed) {
        bus->welcomed = true;
        return none(event);
      }
      hf_set_error(
          "the supervisor was killed, and another one has the bus: of that moment messages may be lost, subscriptions "
          "too, and calls that were begun before it may have no answer");
      return error(event);
    }
    case HF_BUS_DROPPED: {
      struct hf_frame_number dropped;
      if (bus->in_length < sizeof dropped) return malformed(bus, event, "a DROPPED frame has no number");
      memcpy(&dropped, bus->in, sizeof dropped);
      event->lost = dropped.number;
      return event->type = HF_EVENT_LOST;
    }
    case HF_BUS_MEMBERS:
      return take_members(bus, event, header.count);
    default:
      drop_frame(bus); /* newer than we are */
      return none(event);
  }
}

bool hf_bus_has_more(const struct hf_worker* worker) { return worker->bus != NULL && worker->bus->in_left > 0; }

enum hf_event_type hf_bus_next(struct hf_worker* worker, struct hf_event* event) {
  struct hf_bus* bus = worker->bus;
  if (bus == NULL) return none(event);
  if (bus->map != NULL) (void)munmap(bus->map, bus->map_size);
  bus->map = NULL;
  for (;;) {
    while (bus->in_left > 0)
      if (give_out(bus, event) != HF_EVENT_NONE) return event->type;
    drop_frame(bus);
    hf_bus_send_gathered(worker);
    if (bus->descriptor < 0) return none(event);
    if (bus->frames == MAX_FRAMES) break;
    ++bus->frames;
    const enum read_outcome outcome = read_frame(bus);
    if (outcome == READ_NOTHING) break;
    if (outcome == READ_END) return ended(worker, event);
    if (outcome == READ_BAD) return malformed(bus, event, "it is longer than 81920 bytes, or shorter than a header");
    if (take_frame(bus, event) != HF_EVENT_NONE) return event->type;
  }
  bus->frames = 0; /* the turn is over for the bus */
  return none(event);
}
