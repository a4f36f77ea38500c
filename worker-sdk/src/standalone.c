/* Listening without a supervisor: the same program, the same events, for development and for measuring what the
 * supervisor costs. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

enum { BACKLOG = 4096 };         /* the kernel lowers it to net.core.somaxconn */
enum { ADDRESS_TEXT_MAX = 128 }; /* "unix:" and a path */

static int fail(const char* text, const char* act, int error) {
  const char* hint = error == EADDRINUSE ? "; another program has this address: stop it or choose another port" : "";
  hf_set_error("listen on %.200s: %s: %s%s", text, act, strerror(error), hint);
  return -error;
}

/* A path whose owner is gone may be taken; one that answers may not. */
static bool is_stale(const struct sockaddr_un* address, socklen_t length) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool refused = connect(probe, (const struct sockaddr*)address, length) < 0 && errno == ECONNREFUSED;
  (void)close(probe);
  return refused;
}

static int bind_and_listen(int descriptor, const char* text, struct sockaddr_storage* address, socklen_t length,
                           uint32_t flags) {
  const int one = 1;
  const int zero = 0;
  const bool path = address->ss_family == AF_UNIX;
  if (!path) (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address->ss_family == AF_INET6) {
    const bool any =
        memcmp(&((struct sockaddr_in6*)address)->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0 && text[0] == ':';
    (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, any ? &zero : &one, sizeof one);
  }
  if (!path && (flags & HF_OPEN_REUSEPORT) != 0 &&
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
    return fail(text, "share the port", errno);
  int failure = bind(descriptor, (struct sockaddr*)address, length) < 0 ? errno : 0;
  if (failure == EADDRINUSE && path && is_stale((struct sockaddr_un*)address, length)) {
    (void)unlink(((struct sockaddr_un*)address)->sun_path);
    failure = bind(descriptor, (struct sockaddr*)address, length) < 0 ? errno : 0;
  }
  if (failure != 0) return fail(text, "bind", failure);
  if (listen(descriptor, BACKLOG) < 0) return fail(text, "listen", errno);
  return 0;
}

static int listen_on(struct hf_worker* worker, const char* text, uint32_t flags, size_t index) {
  struct sockaddr_storage address;
  socklen_t length = hf_parse_address(text, &address);
  if (length == 0) return -EINVAL;
  int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0 && errno == EAFNOSUPPORT && text[0] == ':') { /* a machine without IPv6 */
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = ((struct sockaddr_in6*)&address)->sin6_port};
    memcpy(&address, &ipv4, sizeof ipv4);
    length = sizeof ipv4;
    descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  }
  if (descriptor < 0) return fail(text, "make a socket", errno);
  worker->standalone[worker->standalone_count++] = descriptor;
  const int status = bind_and_listen(descriptor, text, &address, length, flags);
  if (status < 0) return status;

  union hf_address* local = &worker->standalone_address[index];
  socklen_t size = sizeof *local;
  if (getsockname(descriptor, &local->generic, &size) < 0) return fail(text, "ask for the bound address", errno);
  char* bound = worker->text + index * ADDRESS_TEXT_MAX;
  if (local->generic.sa_family == AF_UNIX) {
    (void)snprintf(bound, ADDRESS_TEXT_MAX, "%s", text);
  } else {
    (void)hf_address_text(local, bound);
  }
  worker->listeners[index] = (struct hf_listener){.name = bound, .address = bound};
  return 0;
}

int hf_listen(struct hf_worker* worker, const struct hf_options* options) {
  if (options->standalone_count > HF_MAX_STANDALONE) {
    hf_set_error("listen on %zu addresses: at most %d are possible without a supervisor", options->standalone_count,
                 HF_MAX_STANDALONE);
    return -EINVAL;
  }
  worker->page = &worker->own_page;
  worker->has_page = true; /* nobody reads it, and no frames are sent in its place */
  worker->text = calloc(options->standalone_count, ADDRESS_TEXT_MAX);
  worker->listeners = calloc(options->standalone_count, sizeof *worker->listeners);
  if (worker->text == NULL || worker->listeners == NULL) {
    hf_set_error("open the worker: out of memory");
    return -ENOMEM;
  }
  worker->info = (struct hf_identity){.slots = 1, .pool = "standalone", .plane = "self", .listener = worker->listeners};
  for (size_t i = 0; i < options->standalone_count; ++i) {
    const int status = listen_on(worker, options->standalone[i], options->flags, i);
    if (status < 0) return status;
  }
  worker->info.listeners = options->standalone_count;
  return 0;
}

void hf_stop_listening(struct hf_worker* worker) {
  for (size_t i = 0; i < worker->standalone_count; ++i) {
    if (worker->standalone_address[i].generic.sa_family == AF_UNIX)
      (void)unlink(worker->listeners[i].address + 5); /* "unix:" */
    (void)close(worker->standalone[i]);
  }
}

/* Folds an IPv4 client of a dual-stack listener to AF_INET, as the supervisor does. */
static void fold(union hf_address* address) {
  if (address->generic.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->ipv6.sin6_addr)) return;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = address->ipv6.sin6_port};
  memcpy(&ipv4.sin_addr, address->ipv6.sin6_addr.s6_addr + 12, sizeof ipv4.sin_addr);
  address->ipv4 = ipv4;
}

static enum hf_event_type accepted(struct hf_worker* worker, struct hf_event* event, int descriptor, size_t listener) {
  struct hf_connection* connection = &event->connection;
  connection->fd = descriptor;
  connection->listener = (uint16_t)listener;
  connection->bucket = 0;
  connection->slot = 0;
  connection->id = ++worker->accepted;
  connection->accepted_ns = hf_now_ns();
  connection->listener_name = worker->listeners[listener].name;
  connection->local = worker->standalone_address[listener];
  fold(&connection->remote);
  worker->taken += 1;
  hf_note_descriptor(worker, descriptor);
  return event->type = HF_EVENT_CONNECTION;
}

enum hf_event_type hf_accept(struct hf_worker* worker, struct hf_event* event) {
  for (size_t tried = 0; tried < worker->standalone_count; ++tried) {
    const size_t listener = worker->standalone_next;
    socklen_t size = sizeof event->connection.remote;
    const int descriptor =
        accept4(worker->standalone[listener], &event->connection.remote.generic, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor >= 0) return accepted(worker, event, descriptor, listener);
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      worker->pause = true;
      hf_set_intake(worker, INTAKE_STARVED);
      return event->type = HF_EVENT_NONE;
    }
    /* EAGAIN, or one client's trouble (ECONNABORTED, EPROTO, ...), which leaves the listener readable if more wait. */
    worker->standalone_next = (listener + 1) % worker->standalone_count;
  }
  return event->type = HF_EVENT_NONE;
}
