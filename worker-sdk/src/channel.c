/* Frames in and out; PROTOCOL.md describes them. Nothing of the supervisor is trusted to be well-formed: it may be
 * newer than we are. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal.h"

_Static_assert(sizeof(struct hf_frame_header) == 8, "PROTOCOL.md");
_Static_assert(sizeof(struct hf_connection_record) == 72, "PROTOCOL.md");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "structures are used as bytes; a big-endian port needs le64toh here");

/* Frames looked at within one hf_next before the program gets its turn: unknown ones must not hold it. */
enum { MAX_FRAMES = 16 };

static void add(uint64_t* counter, uint64_t number) { (void)__atomic_fetch_add(counter, number, __ATOMIC_SEQ_CST); }

/* ---- out ---- */

enum sent { SENT, BLOCKED, DROPPED };

static enum sent send_frame(struct hf_worker* worker, const void* frame, size_t length) {
  for (;;) {
    if (send(worker->channel, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return SENT;
    switch (errno) {
      case EINTR:
        break;
      case EAGAIN:
        worker->blocked = true;
        return BLOCKED;
      case ENOBUFS:
      case ENOMEM:
        return BLOCKED; /* not a full queue, so no EPOLLOUT will tell: the timer tries again */
      case ECONNRESET:
        return BLOCKED; /* told once; what is true comes with the next try */
      default:
        return DROPPED; /* EPIPE: the supervisor is gone, which the reading side tells in its turn */
    }
  }
}

static enum sent send_plain(struct hf_worker* worker, uint16_t type) {
  const struct hf_frame_header frame = {.type = type, .length = sizeof frame};
  return send_frame(worker, &frame, sizeof frame);
}

static enum sent send_number(struct hf_worker* worker, uint16_t type, uint64_t number) {
  const struct hf_frame_number frame = {.header = {.type = type, .length = sizeof frame}, .number = number};
  return send_frame(worker, &frame, sizeof frame);
}

static enum sent send_hello(struct hf_worker* worker) {
  const struct hf_frame_hello frame = {
      .header = {.type = HF_FRAME_HELLO, .length = sizeof frame},
      .version = HF_PROTOCOL_VERSION,
      .flags = (worker->has_page ? HF_HELLO_PAGE : 0) | (worker->has_sockets ? HF_HELLO_SOCKETS : 0),
      .pid = (uint64_t)getpid()};
  return send_frame(worker, &frame, sizeof frame);
}

/* Sends what waits, in order, until something does not go. What went is taken off. */
static void send_waiting(struct hf_worker* worker) {
  if ((worker->unsent & UNSENT_HELLO) != 0) {
    if (send_hello(worker) == BLOCKED) return;
    worker->unsent &= ~(uint32_t)UNSENT_HELLO;
    worker->hello_is_out = true;
  }
  if ((worker->unsent & UNSENT_READY) != 0) {
    __atomic_store_n(&worker->page->ready, 1, __ATOMIC_RELEASE);
    if (send_plain(worker, HF_FRAME_READY) == BLOCKED) return;
    worker->unsent &= ~(uint32_t)UNSENT_READY;
  }
  if (worker->unsent_lost != 0) {
    if (send_number(worker, HF_FRAME_LOST, worker->unsent_lost) == BLOCKED) return;
    worker->unsent_lost = 0;
  }
  if (worker->unsent_taken != 0) {
    if (send_number(worker, HF_FRAME_TAKEN, worker->unsent_taken) == BLOCKED) return;
    worker->unsent_taken = 0;
  }
  if (worker->unsent_accepted != 0) {
    if (send_number(worker, HF_FRAME_ACCEPTED, worker->unsent_accepted) == BLOCKED) return;
    worker->unsent_accepted = 0;
  }
  const uint64_t closed = worker->unsent_closed;
  if (closed != 0) {
    if (send_number(worker, HF_FRAME_CLOSED, closed) == BLOCKED) return;
    worker->unsent_closed -= closed;
  }
  if ((worker->unsent & UNSENT_DRAINED) != 0) {
    if (send_plain(worker, HF_FRAME_DRAINED) == BLOCKED) return;
    worker->unsent &= ~(uint32_t)UNSENT_DRAINED;
  }
}

void hf_flush(struct hf_worker* worker) {
  if (worker->channel < 0 || (worker->unsent == 0 && worker->unsent_taken == 0 && worker->unsent_lost == 0 &&
                              worker->unsent_accepted == 0 && worker->unsent_closed == 0))
    return;
  const bool was_blocked = worker->blocked;
  worker->blocked = false;
  send_waiting(worker);
  if (worker->blocked != was_blocked) hf_watch_intake(worker);
}

void hf_send_heartbeat(struct hf_worker* worker) {
  if (worker->hello_is_out) (void)send_plain(worker, HF_FRAME_HEARTBEAT); /* a full channel speaks for us as well */
}

/* ---- in ---- */

static enum hf_event_type none(struct hf_event* event) { return event->type = HF_EVENT_NONE; }

static enum hf_event_type gone(struct hf_worker* worker, struct hf_event* event) {
  hf_set_intake(worker, INTAKE_ENDED);
  return event->type = HF_EVENT_GONE;
}

static enum hf_event_type error(struct hf_event* event) {
  event->text = hf_error_text();
  return event->type = HF_EVENT_ERROR;
}

/* The connections of a message whose frame makes no sense cannot be given out. They were taken up, and they are closed:
 * counted as both. */
static enum hf_event_type malformed(struct hf_worker* worker, struct hf_event* event, int descriptors,
                                    const char* what) {
  for (int i = 0; i < descriptors; ++i) (void)close(worker->descriptors[i]);
  add(&worker->page->taken, (uint64_t)descriptors);
  add(&worker->page->closed, (uint64_t)descriptors);
  if (!worker->has_page) {
    worker->unsent_taken += (uint64_t)descriptors;
    worker->unsent_closed += (uint64_t)descriptors;
    hf_flush(worker);
  }
  hf_set_error("read a frame of the supervisor: %s; it was dropped, and %d connections that came with it were closed",
               what, descriptors);
  return error(event);
}

static int take_descriptors(struct hf_worker* worker, struct msghdr* message) {
  int count = 0;
  for (struct cmsghdr* control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t size = control->cmsg_len - CMSG_LEN(0);
    memcpy(worker->descriptors + count, CMSG_DATA(control), size);
    count += (int)(size / sizeof(int));
  }
  return count;
}

/* Whether the frame holds all the records that it says. */
static bool records_fit(const struct hf_worker* worker, const struct hf_frame_header* header) {
  uint32_t offset = sizeof *header;
  for (uint32_t i = 0; i < header->count; ++i) {
    if (header->length - offset < sizeof(struct hf_connection_record)) return false;
    uint16_t length;
    memcpy(&length, worker->frame + offset, sizeof length);
    if (length < sizeof(struct hf_connection_record) || length > header->length - offset || length % 8 != 0)
      return false;
    offset += length;
  }
  return true;
}

static void account_taken(struct hf_worker* worker, int descriptors) {
  int highest = 0;
  for (int i = 0; i < descriptors; ++i) highest = worker->descriptors[i] > highest ? worker->descriptors[i] : highest;
  worker->taken += descriptors;
  hf_note_descriptor(worker, highest);
  add(&worker->page->taken, (uint64_t)descriptors);
  if (!worker->has_page || __atomic_load_n(&worker->page->want_taken, __ATOMIC_SEQ_CST) != 0)
    worker->unsent_taken += (uint64_t)descriptors;
  hf_flush(worker);
}

static enum hf_event_type connections(struct hf_worker* worker, struct hf_event* event,
                                      const struct hf_frame_header* header, int descriptors, bool truncated) {
  if (header->count == 0 || header->count > HF_MAX_BATCH)
    return malformed(worker, event, descriptors, "the count of connections is not 1 to 64");
  if (!records_fit(worker, header))
    return malformed(worker, event, descriptors, "a record of a connection is too short or too long");
  if (descriptors > header->count || (descriptors < header->count && !truncated))
    return malformed(worker, event, descriptors, "the number of descriptors is not the count of connections");

  worker->batch_next = 0;
  worker->batch_count = (uint32_t)descriptors;
  worker->batch_offset = sizeof *header;
  /* After a short batch the channel is probably empty: it is read again when hf_fd says so. */
  worker->channel_may_have = header->count == HF_MAX_BATCH;
  const int lost = header->count - descriptors;
  if (lost != 0) {
    add(&worker->page->lost, (uint64_t)lost);
    worker->unsent_lost += (uint64_t)lost;
  }
  account_taken(worker, descriptors);
  if (lost == 0) return hf_give_out(worker, event);
  hf_count_descriptors(worker); /* the reckoning was wrong: somebody else in this process opens descriptors */
  hf_set_error(
      "take up %d connections: the kernel dropped %d of them, because the process is at its limit of descriptors; "
      "raise RLIMIT_NOFILE "
      "or hf_options.descriptor_reserve",
      (int)header->count, lost);
  return error(event);
}

static enum hf_event_type drain(struct hf_worker* worker, struct hf_event* event) {
  struct hf_frame_header header;
  struct hf_frame_drain frame = {.spread_ns = 0};
  memcpy(&header, worker->frame, sizeof header);
  memcpy(&frame, worker->frame, header.length < sizeof frame ? header.length : sizeof frame);
  if (!worker->draining) worker->drain_began_ns = hf_now_ns();
  worker->draining = true;
  worker->drain_spread_ns = frame.spread_ns;
  event->deadline_ns = frame.deadline_ns;
  return event->type = HF_EVENT_DRAIN;
}

enum read_outcome { READ_MESSAGE, READ_NOTHING, READ_END, READ_ERROR };

static enum read_outcome read_message(struct hf_worker* worker, struct msghdr* message, ssize_t* length) {
  for (;;) {
    *length = recvmsg(worker->channel, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (*length > 0) return READ_MESSAGE;
    if (*length == 0) return READ_END;
    if (errno == EAGAIN) return READ_NOTHING;
    /* ECONNRESET comes once, ahead of what is queued, when the supervisor ended without having read all our frames. */
    if (errno == EINTR || errno == ECONNRESET) continue;
    return errno == ENOBUFS || errno == ENOMEM ? READ_ERROR : READ_END;
  }
}

/* Whether the next frame brings connections: while draining they stay in the channel for the supervisor, and while too
 * few descriptors are free some of them could be lost. */
static bool connections_are_next(const struct hf_worker* worker) {
  struct hf_frame_header header;
  ssize_t length;
  do {
    length = recv(worker->channel, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT);
  } while (length < 0 && (errno == EINTR || errno == ECONNRESET));
  return length == (ssize_t)sizeof header && header.type == HF_FRAME_CONNECTIONS;
}

static enum hf_event_type on_message(struct hf_worker* worker, struct hf_event* event, struct msghdr* message,
                                     ssize_t length) {
  const int descriptors = take_descriptors(worker, message);
  const bool lost_some = (message->msg_flags & MSG_CTRUNC) != 0;
  struct hf_frame_header header;
  if ((message->msg_flags & MSG_TRUNC) != 0)
    return malformed(worker, event, descriptors, "it is longer than 8192 bytes");
  if (length < (ssize_t)sizeof header) return malformed(worker, event, descriptors, "it is shorter than a header");
  memcpy(&header, worker->frame, sizeof header);
  if (header.length != (size_t)length)
    return malformed(worker, event, descriptors, "its length is not the length of the message");
  if (header.type == HF_FRAME_CONNECTIONS) return connections(worker, event, &header, descriptors, lost_some);
  if (header.type == HF_FRAME_DRAIN && length < (ssize_t)HF_FRAME_DRAIN_LEAST)
    return malformed(worker, event, descriptors, "a DRAIN frame has no deadline");
  for (int i = 0; i < descriptors; ++i)
    (void)close(worker->descriptors[i]); /* of a frame type that is newer than we are */
  return header.type == HF_FRAME_DRAIN ? drain(worker, event) : none(event);
}

enum hf_event_type hf_receive(struct hf_worker* worker, struct hf_event* event) {
  for (int frames = 0; frames < MAX_FRAMES; ++frames) {
    const bool starved = worker->intake == INTAKE_STARVED;
    if ((worker->draining || starved) && connections_are_next(worker)) {
      if (worker->draining) hf_set_intake(worker, INTAKE_STOPPED);
      return none(event);
    }
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(HF_MAX_DESCRIPTORS * sizeof(int))];
    struct iovec bytes = {.iov_base = worker->frame, .iov_len = sizeof worker->frame};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = 0;
    switch (read_message(worker, &message, &length)) {
      case READ_NOTHING:
        return none(event);
      case READ_END:
        return gone(worker, event);
      case READ_ERROR:
        worker->pause = true;
        hf_set_intake(worker, INTAKE_STARVED);
        hf_set_error("read the channel: %s; trying again at the next heartbeat", strerror(errno));
        return error(event);
      case READ_MESSAGE:
        break;
    }
    if (on_message(worker, event, &message, length) != HF_EVENT_NONE) return event->type;
  }
  return none(event);
}

static union hf_address address_of(uint16_t family, const uint8_t bytes[16], uint16_t port) {
  union hf_address address;
  memset(&address, 0, sizeof address);
  const uint16_t network_port = (uint16_t)(port << 8 | port >> 8);
  switch (family) {
    case HF_FAMILY_IPV4:
      address.ipv4.sin_family = AF_INET;
      address.ipv4.sin_port = network_port;
      memcpy(&address.ipv4.sin_addr, bytes + 12, 4);
      break;
    case HF_FAMILY_IPV6:
      address.ipv6.sin6_family = AF_INET6;
      address.ipv6.sin6_port = network_port;
      memcpy(&address.ipv6.sin6_addr, bytes, 16);
      break;
    case HF_FAMILY_UNIX:
      address.generic.sa_family = AF_UNIX;
      break;
    default:
      address.generic.sa_family = AF_UNSPEC;
      break;
  }
  return address;
}

enum hf_event_type hf_give_out(struct hf_worker* worker, struct hf_event* event) {
  struct hf_connection_record record;
  memcpy(&record, worker->frame + worker->batch_offset, sizeof record);
  worker->last_record = worker->batch_offset;
  worker->batch_offset += record.record_length;
  struct hf_connection* connection = &event->connection;
  connection->fd = worker->descriptors[worker->batch_next++];
  connection->listener = record.listener;
  connection->bucket = record.bucket;
  connection->slot = worker->info.slot;
  connection->plane = HF_PLANE_PASS;
  connection->id = record.id;
  connection->accepted_ns = record.accepted_ns;
  connection->listener_name = record.listener < worker->info.listeners ? worker->listeners[record.listener].name : "";
  connection->remote = address_of(record.family, record.remote, record.remote_port);
  connection->local = address_of(record.family, record.local, record.local_port);
  return event->type = HF_EVENT_CONNECTION;
}

int hf_is_proxied(const struct hf_worker* worker) {
  struct hf_connection_record record;
  if (worker->last_record == 0) return 0;
  memcpy(&record, worker->frame + worker->last_record, sizeof record);
  return (record.flags & HF_RECORD_PROXIED) != 0;
}

const void* hf_detail(const struct hf_worker* worker, enum hf_detail_type detail, size_t* length) {
  *length = 0;
  if (worker->last_record == 0) return NULL;
  uint16_t record_length;
  memcpy(&record_length, worker->frame + worker->last_record, sizeof record_length);
  const uint32_t end = worker->last_record + record_length;
  struct hf_record_detail found;
  for (uint32_t at = worker->last_record + sizeof(struct hf_connection_record); at + sizeof found <= end;) {
    memcpy(&found, worker->frame + at, sizeof found);
    at += sizeof found;
    if (found.type == 0 || found.length > end - at) return NULL;
    if (found.type == (uint16_t)detail) {
      *length = found.length;
      return worker->frame + at;
    }
    at += found.length;
  }
  return NULL;
}
