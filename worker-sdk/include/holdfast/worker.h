/* The worker SDK: how a server program receives connections from the Holdfast supervisor.
 *
 *   struct hf_worker* worker;
 *   if (hf_open(NULL, &worker) < 0) { fprintf(stderr, "%s\n", hf_error_text()); return 1; }
 *   hf_ready(worker);
 *   for (;;) {                                  // or watch hf_fd(worker) for reading in any event loop
 *     struct hf_event event;
 *     while (hf_next(worker, &event) != HF_EVENT_NONE) ...;
 *     hf_wait(worker, -1);
 *   }
 *
 * Errors: a function that can fail returns 0 or a negative errno value, and hf_error_text() says in words what was
 * attempted, why it failed and what to do. Nothing here prints, exits, installs signal handlers or starts threads.
 *
 * Threads: a worker object belongs to one thread. Only hf_release, hf_closed and hf_heartbeat may be called from any
 * thread while the object is open. A process has one object under the supervisor, because it has one channel; in
 * standalone mode it may have one for each thread.
 *
 * Memory: hf_open allocates the object (under 16 KiB, and the two frames of the bus for those who use it) once; nothing
 * is allocated for connections or events afterwards.
 *
 * Fork: the descriptors are close-on-exec. A child made by fork(2) without exec must not use the object. */
#ifndef HOLDFAST_WORKER_H
#define HOLDFAST_WORKER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#else
#define HF_API
#endif

struct hf_worker;

/* Options of hf_open. Set everything to zero first, then `size`: the structure may grow at its end. */
struct hf_options {
  size_t size; /* sizeof(struct hf_options) */
  /* Addresses to listen on when there is no supervisor, for development and measurement: ":8080", "127.0.0.1:8080",
   * "[::1]:8080", "udp://:5353", "unix:/path", or "fd:3" for a socket that listens already and was inherited (it becomes
   * the SDK's). Ignored under the supervisor. With none of them, hf_open without a supervisor is an error. */
  const char* const* standalone;
  size_t standalone_count;
  uint32_t flags; /* HF_OPEN_ */
  /* Descriptors that the SDK leaves free for the program's own files, beside the 64 that the next batch may need;
   * 0: 32. Connections wait with the supervisor, not here, while fewer are free. */
  uint32_t descriptor_reserve;
};
#define HF_OPEN_REUSEPORT 1u /* standalone listeners share their port with other processes (SO_REUSEPORT) */
#define HF_OPEN_DATAGRAMS 2u /* report UDP listeners by HF_EVENT_DATAGRAM; without it the program polls hf_socket */

enum hf_event_type {
  /* Nothing to do now: wait until hf_fd is readable. */
  HF_EVENT_NONE = 0,
  /* `connection` is the caller's. */
  HF_EVENT_CONNECTION = 1,
  /* Finish what is open, then call hf_drained and leave before `deadline_ns`. What still waits in the channel is the
   * supervisor's; connections come after this only if the supervisor dies meanwhile and nobody else could serve them.
   * May come again with another deadline. In the steer plane it comes when everything that the kernel had queued for
   * this worker was given out. */
  HF_EVENT_DRAIN = 2,
  /* The supervisor is gone: finish what is open and leave. No event comes any more. */
  HF_EVENT_GONE = 3,
  /* `text` says what was wrong: a malformed frame, lost descriptors. It is counted, and the worker may go on. */
  HF_EVENT_ERROR = 4,
  /* Only with HF_OPEN_DATAGRAMS: the UDP listener `connection.listener` may have datagrams; `connection.fd` is its socket
   * (hf_socket), which stays the SDK's. Read it, with MSG_DONTWAIT, until EAGAIN or for as long as is fair to others:
   * what is left is reported again, once between two HF_EVENT_NONE. Comes once more ahead of DRAIN and GONE, and after
   * DRAIN until the worker leaves. */
  HF_EVENT_DATAGRAM = 5,
  /* The following come only to programs that use the bus, <holdfast/bus.h>. `message` is valid until the next call of
   * hf_next. */
  HF_EVENT_MESSAGE = 6, /* published under a topic that was subscribed to, or sent to this worker */
  HF_EVENT_CALL = 7,    /* the same, and an answer is wanted: hf_reply with message.call */
  HF_EVENT_REPLY = 8,   /* the answer to hf_call; or, with a negative message.status, that none will come, or that what
                           hf_send sent has reached nobody */
  HF_EVENT_LOST = 9,    /* `lost` messages for this worker were dropped, before those that come now: it was too slow; 0:
                           hf_subscribe asked for some that are not kept any more */
  HF_EVENT_MEMBERS = 10 /* hf_members has a new answer */
};

/* How a connection came to this worker. */
enum hf_plane {
  HF_PLANE_PASS = 1,  /* the supervisor accepted it and passed it */
  HF_PLANE_STEER = 2, /* the kernel placed it in the slot's own listener, and the SDK accepted it */
  HF_PLANE_SELF = 3   /* standalone: the SDK accepted it from a listener that it made */
};

union hf_address {
  struct sockaddr generic; /* sa_family: AF_INET, AF_INET6, AF_UNIX (nothing more is known), AF_UNSPEC (a family newer
                              than this SDK) */
  struct sockaddr_in ipv4;
  struct sockaddr_in6 ipv6;
};

struct hf_connection {
  int fd; /* a connected stream socket, non-blocking and close-on-exec; the caller owns it: hf_release closes it. Take it
             out of an epoll set before that: the supervisor may have its copy open for a moment longer, and until it
             closes that one too the kernel reports events of the connection */
  uint16_t listener;         /* index of the listener that took it */
  uint16_t bucket;           /* bucket that placed it; 0 unless it was passed */
  uint32_t slot;             /* this worker's slot */
  enum hf_plane plane;       /* how it came */
  uint64_t id;               /* unique in the life of the supervisor; the SDK's own have the highest bit set, then the
                                process id (31 bits) and a number (32 bits) */
  uint64_t accepted_ns;      /* CLOCK_MONOTONIC nanoseconds */
  const char* listener_name; /* valid as long as the worker object; "" if unknown */
  union hf_address remote;   /* the client. IPv4 clients of a dual-stack listener are AF_INET here */
  union hf_address local;    /* where it connected to; unless it was passed, the address that the listener is bound to,
                                which may be the wildcard: ask getsockname(2) where it matters */
};

/* A message of the bus. */
struct hf_message {
  const char* topic; /* of hf_send and hf_call: the pool; NUL at the end */
  const char* key;   /* of hf_send and hf_call, else "" */
  const void* data;
  size_t size;
  uint64_t sequence;  /* of what was published: grows, for hf_subscribe after a restart; else 0 */
  uint64_t call;      /* CALL, REPLY: which one */
  uint64_t node;      /* the machine that it comes from; 0: this one */
  uint32_t publisher; /* the worker that it comes from, a number that nobody has had before it; 0: from outside */
  int is_own;         /* this very process published it */
  int status;         /* REPLY: 0 or a negative errno */
};

struct hf_event {
  enum hf_event_type type;
  uint64_t deadline_ns;            /* DRAIN: CLOCK_MONOTONIC nanoseconds at which the supervisor ends the process */
  const char* text;                /* ERROR: valid until the next call with this object */
  struct hf_connection connection; /* CONNECTION; of DATAGRAM `fd`, `listener`, `listener_name`, `slot` and `local` */
  struct hf_message message;       /* MESSAGE, CALL, REPLY */
  uint64_t lost;                   /* LOST */
};

struct hf_listener {
  const char* name;
  const char* address; /* as bound, "127.0.0.1:8080", "udp://127.0.0.1:5353" */
};

/* Who this worker is. Valid as long as the worker object. */
struct hf_identity {
  uint32_t slot; /* from 0 */
  uint32_t slots;
  uint32_t generation;
  const char* pool;  /* "standalone" without a supervisor */
  const char* plane; /* "steer" if this worker has sockets of its slot, else "pass"; "self" in standalone mode. Single
                            connections may be passed in the steer plane as well: see hf_connection.plane */
  uint64_t heartbeat_ns; /* silence after which the supervisor takes the worker for hung; 0: never */
  size_t listeners;      /* number of entries in `listener` */
  const struct hf_listener* listener;
};

/* Takes up what the supervisor passed in the environment (see PROTOCOL.md), marks its descriptors close-on-exec, and
 * introduces the worker; the environment is left as it is. `options` may be NULL. On success `*worker` is the caller's
 * until hf_close; on failure it is NULL. Errors: -ENOENT no supervisor and no standalone address; -EINVAL environment
 * or option malformed; -EBADF a descriptor that the environment names is not there; -EBUSY already open in this
 * process; -EMFILE the descriptor limit leaves no room for a batch; or what socket(2), bind(2), mmap(2), ... said. */
HF_API int hf_open(const struct hf_options* options, struct hf_worker** worker);

/* Closes the SDK's own descriptors and frees the object. Connections that were given out stay open and stay the
 * caller's; they must then be closed with close(2). NULL is allowed. */
HF_API void hf_close(struct hf_worker* worker);

/* What the last failed call of this thread attempted, why it failed and what to do. Never NULL; valid until the
 * thread's next failure. */
HF_API const char* hf_error_text(void);

/* One descriptor for every event loop (an epoll instance: poll, select, epoll and everything above them work).
 * Level-triggered: readable when hf_next has something to do. It is also readable some times within each heartbeat
 * limit, at least once a second, so that a program that calls hf_next when it is readable shows that its loop lives.
 * Owned by the worker object. Do not watch it edge-triggered. */
HF_API int hf_fd(const struct hf_worker* worker);

/* The next event; never blocks. Call it until it returns HF_EVENT_NONE whenever hf_fd is readable: connections arrive
 * in batches, and those of a batch that were not fetched yet do not make hf_fd readable. The return value is
 * event->type. */
HF_API enum hf_event_type hf_next(struct hf_worker* worker, struct hf_event* event);

/* For programs without an event loop: blocks until hf_next has something to do, and shows meanwhile that the program
 * lives. `timeout_ms` -1: no limit. Returns 1 when there is something to do, 0 after the timeout, -EINTR when a signal
 * came. */
HF_API int hf_wait(struct hf_worker* worker, int timeout_ms);

/* The worker can serve. Before this the supervisor sends it nothing, or lets connections wait. Idempotent. */
HF_API void hf_ready(struct hf_worker* worker);

/* Closes `fd`, a connection that hf_next gave out, and counts it as closed. Any thread. Keeps errno. */
HF_API void hf_release(struct hf_worker* worker, int fd);

/* Counts `number` connections as closed that the program closed itself (a library that owns its descriptors, for
 * instance). Any thread. A program that neither releases nor reports works, but its `open` count grows, and near the
 * descriptor limit it takes up connections only once a heartbeat, after the SDK has counted its descriptors. */
HF_API void hf_closed(struct hf_worker* worker, uint64_t number);

/* When the program should close a connection because it drains, CLOCK_MONOTONIC nanoseconds: the moments of all its
 * connections are spread over the time that the supervisor asks for, so that the clients do not come back all at once.
 * `id`: hf_connection.id, or another number that the program has for it; the same number has the same moment. What is
 * idle then is to be closed, what is busy after its answer. UINT64_MAX while it does not drain; where nothing is to be
 * spread, the moment when the drain began. */
HF_API uint64_t hf_close_at(const struct hf_worker* worker, uint64_t id);

/* Nothing is open any more and the program is about to exit. */
HF_API void hf_drained(struct hf_worker* worker);

/* Shows that the program lives, within work that keeps it from calling hf_next. Any thread, but a beat from a thread
 * that cannot hang hides the hang of another. */
HF_API void hf_heartbeat(struct hf_worker* worker);

/* What a proxy told by the PROXY protocol beside the addresses: the numbers are the types of its version 2. */
enum hf_detail_type {
  HF_DETAIL_ALPN = 0x01,              /* "h2" */
  HF_DETAIL_AUTHORITY = 0x02,         /* the name that the client asked for (SNI) */
  HF_DETAIL_UNIQUE_ID = 0x05,         /* opaque bytes */
  HF_DETAIL_GOOGLE_CONNECTION = 0xE0, /* 8 bytes, little-endian: the id of a Private Service Connect */
  HF_DETAIL_AWS_ENDPOINT = 0xEA,      /* "vpce-..." */
  HF_DETAIL_AZURE_LINK = 0xEE         /* 4 bytes, little-endian: the id of a private endpoint's link */
};

/* A detail of the connection that hf_next gave out last; NULL if there is none. Valid until the next call of hf_next; not
 * terminated by a zero: `*length` says how long it is. */
HF_API const void* hf_detail(const struct hf_worker* worker, enum hf_detail_type detail, size_t* length);

/* Whether the addresses of the connection that hf_next gave out last are those that a proxy told: then getpeername(2) names
 * the proxy. 1 or 0. */
HF_API int hf_is_proxied(const struct hf_worker* worker);

/* Writes "ID~SLOT", with this worker's slot, into `buffer`: a session id from which a pool with `key = ["tagged(...)"]` sees
 * who has made it, so that whoever shows it comes straight back. `id` must have no '~'. Returns the length without the final
 * zero; -ENOSPC if `size` is too small (12 bytes above the length of `id` are enough); -EINVAL for such an `id`. */
HF_API int hf_tag(const struct hf_worker* worker, const char* id, char* buffer, size_t size);

HF_API const struct hf_identity* hf_info(const struct hf_worker* worker);

/* The socket of the UDP listener with this index, non-blocking, to receive from and to send with; -1 if that is no UDP
 * listener. Owned by the worker object; shared with the supervisor, so neither change its mode nor call shutdown or
 * connect. The SDK reads nothing from it. Any thread. */
HF_API int hf_socket(const struct hf_worker* worker, size_t listener);

/* "pass", "steer" or "self". */
HF_API const char* hf_plane_text(enum hf_plane plane);

/* Writes "127.0.0.1:8080", "[::1]:8080", "unix" or "unknown" and returns `buffer`. */
#define HF_ADDRESS_TEXT 56 /* bytes that `buffer` must have */
HF_API const char* hf_address_text(const union hf_address* address, char* buffer);

#ifdef __cplusplus
}
#endif
#endif
