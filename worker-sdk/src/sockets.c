/* Listeners that this worker serves by itself: those of its slot, where the kernel places the connections (the steer
 * plane), and those that it made without a supervisor. The supervisor holds the same open files, and so will the next
 * worker of the slot: nothing here changes their flags, and nothing shuts them down. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* Connections of one listener within one turn, before the program looks after those that are open. */
enum { TURN = HF_MAX_BATCH };
/* Those that are still served when the worker leaves: more than a backlog holds (net.core.somaxconn is 4096 unless
 * somebody raised it). A queue that is still not empty then is one that nobody has steered away from us. */
enum { LAST_TURN = 16384 };

int hf_make_room_for_sockets(struct hf_worker* worker, size_t count) {
  worker->sockets = calloc(count + 1, sizeof *worker->sockets);
  if (worker->sockets == NULL) {
    hf_set_error("open the worker: out of memory");
    return -ENOMEM;
  }
  for (size_t i = 0; i < count; ++i) worker->sockets[i].descriptor = -1;
  return 0;
}

int hf_adopt_socket(struct hf_worker* worker, size_t listener, int descriptor, const char* about) {
  struct hf_socket* socket = &worker->sockets[listener];
  socket->descriptor = descriptor;
  worker->has_sockets = true;
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || (type != SOCK_STREAM && type != SOCK_DGRAM)) {
    hf_set_error("use descriptor %d, which %.200s names: it is neither a stream nor a datagram socket", descriptor,
                 about);
    return -EINVAL;
  }
  socket->is_datagram = type == SOCK_DGRAM;
  size = sizeof socket->local;
  if (getsockname(descriptor, &socket->local.generic, &size) == 0) return 0;
  const int error = errno;
  hf_set_error("ask descriptor %d, which %.200s names, for its address: %s", descriptor, about, strerror(error));
  return -error;
}

void hf_start_sockets(struct hf_worker* worker, uint32_t flags) {
  size_t sources = worker->channel >= 0;
  bool any_datagrams = false;
  for (size_t i = 0; i < worker->info.listeners; ++i) {
    struct hf_socket* socket = &worker->sockets[i];
    if (socket->descriptor < 0) continue;
    if (!socket->is_datagram) {
      socket->state = SOCKET_ACCEPTING;
      ++sources;
    } else if ((flags & HF_OPEN_DATAGRAMS) != 0) {
      socket->state = SOCKET_DATAGRAMS;
      any_datagrams = true;
    }
  }
  worker->sole = sources == 1 && !any_datagrams;
  worker->may_guess = sources - (worker->channel >= 0) <= 1 && !any_datagrams;
}

void hf_close_sockets(struct hf_worker* worker) {
  if (worker->sockets == NULL) return;
  for (size_t i = 0; i < worker->info.listeners; ++i) {
    const struct hf_socket* socket = &worker->sockets[i];
    if (socket->descriptor < 0) continue;
    const char* address = worker->listeners[i].address;
    /* A path that we made; an inherited one ("fd:3") is not ours to remove. */
    if (worker->channel < 0 && address != NULL && strncmp(address, HF_UNIX, strlen(HF_UNIX)) == 0)
      (void)unlink(address + strlen(HF_UNIX));
    (void)close(socket->descriptor);
  }
  free(worker->sockets);
}

bool hf_wants_socket(const struct hf_worker* worker, size_t listener) {
  const int state = worker->sockets[listener].state;
  return state == SOCKET_DATAGRAMS || (state == SOCKET_ACCEPTING && worker->intake != INTAKE_STARVED);
}

void hf_mark_socket(struct hf_worker* worker, size_t listener) {
  struct hf_socket* socket = &worker->sockets[listener];
  if (!socket->may_have) socket->budget = TURN;
  socket->may_have = true;
}

static void set_state(struct hf_worker* worker, size_t listener, enum socket_state state) {
  worker->sockets[listener].state = state;
  hf_watch_socket(worker, listener);
}

/* Folds an IPv4 client of a dual-stack listener to AF_INET, as the supervisor does. */
static void fold(union hf_address* address) {
  if (address->generic.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->ipv6.sin6_addr)) return;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = address->ipv6.sin6_port};
  memcpy(&ipv4.sin_addr, address->ipv6.sin6_addr.s6_addr + 12, sizeof ipv4.sin_addr);
  address->ipv4 = ipv4;
}

/* What an event tells of a listener's socket, whether that took a connection or has datagrams. */
static void describe(const struct hf_worker* worker, size_t listener, struct hf_connection* connection) {
  connection->listener = (uint16_t)listener;
  connection->bucket = 0;
  connection->slot = worker->info.slot;
  connection->plane = worker->channel >= 0 ? HF_PLANE_STEER : HF_PLANE_SELF;
  connection->accepted_ns = hf_now_ns();
  connection->listener_name = worker->listeners[listener].name;
  connection->local = worker->sockets[listener].local;
}

static enum hf_event_type give_datagrams(struct hf_worker* worker, size_t listener, struct hf_event* event) {
  worker->sockets[listener].may_have = false;
  describe(worker, listener, &event->connection);
  event->connection.fd = worker->sockets[listener].descriptor;
  event->connection.id = 0;
  event->connection.remote = (union hf_address){.generic.sa_family = AF_UNSPEC};
  return event->type = HF_EVENT_DATAGRAM;
}

static void count_accepted(struct hf_worker* worker, int descriptor) {
  (void)__atomic_fetch_add(&worker->page->accepted, 1, __ATOMIC_RELAXED);
  if (!worker->has_page) worker->unsent_accepted += 1;
  worker->taken += 1;
  hf_note_descriptor(worker, descriptor);
}

enum outcome {
  ACCEPTED,
  EMPTY,
  CLIENT_FAILED, /* one client's trouble; others may wait behind it */
  NO_ROOM,       /* the process, or the machine, is short of descriptors or memory */
  BROKEN         /* the socket does not accept: somebody has shut it down */
};

static enum outcome accept_one(struct hf_worker* worker, size_t listener, struct hf_event* event) {
  struct hf_socket* socket = &worker->sockets[listener];
  struct hf_connection* connection = &event->connection;
  socklen_t size = sizeof connection->remote;
  const int descriptor = accept4(socket->descriptor, &connection->remote.generic, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (descriptor >= 0) {
    socket->failed = false;
    connection->fd = descriptor;
    connection->id = worker->id_base | ++worker->accepted;
    describe(worker, listener, connection);
    fold(&connection->remote);
    count_accepted(worker, descriptor);
    event->type = HF_EVENT_CONNECTION;
    return ACCEPTED;
  }
  switch (errno) {
    case EAGAIN:
      socket->failed = false;
      return EMPTY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return NO_ROOM;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
      return BROKEN;
    default: /* ECONNABORTED, EPROTO, EINTR, ... */
      return CLIENT_FAILED;
  }
}

/* The supervisor repairs a listener that was shut down, if it is there. Told once until it works again. */
static enum hf_event_type pause_socket(struct hf_worker* worker, size_t listener, struct hf_event* event) {
  struct hf_socket* socket = &worker->sockets[listener];
  hf_set_error("accept connections of listener %.200s: %s; trying again at every heartbeat",
               worker->listeners[listener].name, strerror(errno));
  socket->may_have = false;
  set_state(worker, listener, SOCKET_PAUSED);
  if (socket->failed) return event->type = HF_EVENT_NONE;
  socket->failed = true;
  event->text = hf_error_text();
  return event->type = HF_EVENT_ERROR;
}

enum hf_event_type hf_look_at_socket(struct hf_worker* worker, size_t listener, struct hf_event* event) {
  struct hf_socket* socket = &worker->sockets[listener];
  if (!hf_wants_socket(worker, listener)) {
    socket->may_have = false;
    hf_watch_socket(worker, listener);
    return event->type = HF_EVENT_NONE;
  }
  if (socket->is_datagram) return give_datagrams(worker, listener, event);
  while (socket->budget > 0) {
    --socket->budget;
    const enum outcome outcome = accept_one(worker, listener, event);
    if (outcome == ACCEPTED) return event->type;
    if (outcome == CLIENT_FAILED) continue;
    if (outcome == BROKEN) return pause_socket(worker, listener, event);
    if (outcome == NO_ROOM) {
      worker->pause = true;
      hf_set_intake(worker, INTAKE_STARVED);
    }
    break;
  }
  socket->may_have = false;
  return event->type = HF_EVENT_NONE;
}

bool hf_hold(struct hf_worker* worker, const struct hf_event* event) {
  bool anything = false;
  for (size_t i = 0; i < worker->info.listeners; ++i) {
    struct hf_socket* socket = &worker->sockets[i];
    if (socket->state == SOCKET_LEFT) continue;
    anything = true;
    if (socket->is_datagram) {
      socket->may_have = true;
      continue;
    }
    socket->budget = LAST_TURN;
    set_state(worker, i, SOCKET_EMPTYING);
  }
  if (!anything) return false;
  worker->held.type = event->type;
  worker->held.deadline_ns = event->type == HF_EVENT_DRAIN ? event->deadline_ns : 0;
  return true;
}

/* Whether one more connection came. */
static bool empty_further(struct hf_worker* worker, size_t listener, struct hf_event* event) {
  struct hf_socket* socket = &worker->sockets[listener];
  while (socket->budget > 0 && hf_has_room(worker)) {
    --socket->budget;
    const enum outcome outcome = accept_one(worker, listener, event);
    if (outcome == ACCEPTED) return true;
    if (outcome != CLIENT_FAILED) break;
  }
  socket->may_have = false;
  socket->state = SOCKET_LEFT;
  return false;
}

enum hf_event_type hf_empty_sockets(struct hf_worker* worker, struct hf_event* event) {
  for (size_t i = 0; i < worker->info.listeners; ++i) {
    struct hf_socket* socket = &worker->sockets[i];
    if (socket->state == SOCKET_EMPTYING && empty_further(worker, i, event)) return event->type;
    if (socket->state == SOCKET_DATAGRAMS && socket->may_have) return give_datagrams(worker, i, event);
  }
  event->type = worker->held.type;
  event->deadline_ns = worker->held.deadline_ns;
  worker->held.type = HF_EVENT_NONE;
  if (event->type != HF_EVENT_GONE) return event->type; /* datagrams may come until the worker leaves */
  for (size_t i = 0; i < worker->info.listeners; ++i) set_state(worker, i, SOCKET_LEFT);
  return event->type;
}

void hf_resume_sockets(struct hf_worker* worker) {
  for (size_t i = 0; i < worker->info.listeners; ++i)
    if (worker->sockets[i].state == SOCKET_PAUSED) set_state(worker, i, SOCKET_ACCEPTING);
}

int hf_socket(const struct hf_worker* worker, size_t listener) {
  if (listener >= worker->info.listeners || !worker->sockets[listener].is_datagram) return -1;
  return worker->sockets[listener].descriptor;
}
