/* Listening without a supervisor: the same program, the same events, for development and for measuring what the
 * supervisor costs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* `text` is without its udp://, `name` is what the program wrote. */
static int bind_and_listen(int descriptor, const char* text, const char* name, struct sockaddr_storage* address,
                           socklen_t length, uint32_t flags) {
  const int one = 1;
  const int zero = 0;
  const bool path = address->ss_family == AF_UNIX;
  const bool udp = text != name;
  /* On a UDP socket SO_REUSEADDR would let two programs take one port unnoticed. */
  if (!path && !udp) (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address->ss_family == AF_INET6) {
    const bool any =
        memcmp(&((struct sockaddr_in6*)address)->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0 && text[0] == ':';
    (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, any ? &zero : &one, sizeof one);
  }
  if (!path && (flags & HF_OPEN_REUSEPORT) != 0 &&
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
    return fail(name, "share the port", errno);
  int failure = bind(descriptor, (struct sockaddr*)address, length) < 0 ? errno : 0;
  if (failure == EADDRINUSE && path && is_stale((struct sockaddr_un*)address, length)) {
    (void)unlink(((struct sockaddr_un*)address)->sun_path);
    failure = bind(descriptor, (struct sockaddr*)address, length) < 0 ? errno : 0;
  }
  if (failure != 0) return fail(name, "bind", failure);
  if (!udp && listen(descriptor, BACKLOG) < 0) return fail(name, "listen", errno);
  return 0;
}

/* A socket that listens already and was inherited, as from systemd: "fd:3". -1: it is none. */
static int inherited_descriptor(const char* name) {
  if (strncmp(name, HF_INHERITED, strlen(HF_INHERITED)) != 0) return -1;
  char* end = NULL;
  const char* number = name + strlen(HF_INHERITED);
  const long descriptor = strtol(number, &end, 10);
  return end != number && *end == '\0' && descriptor >= 0 && descriptor <= INT_MAX ? (int)descriptor : -1;
}

static int adopt_inherited(const char* name, int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0) {
    return fail(name, "use the descriptor", errno);
  }
  return descriptor;
}

/* The bound socket, or a negative errno. */
static int make_listener(const char* name, uint32_t flags) {
  struct sockaddr_storage address;
  socklen_t length = hf_parse_address(name, &address);
  if (length == 0) return -EINVAL;
  const bool udp = hf_is_udp(name);
  const char* text = udp ? name + strlen(HF_UDP) : name;
  const int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  int descriptor = socket(address.ss_family, type, 0);
  if (descriptor < 0 && errno == EAFNOSUPPORT && text[0] == ':') { /* a machine without IPv6 */
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = ((struct sockaddr_in6*)&address)->sin6_port};
    memcpy(&address, &ipv4, sizeof ipv4);
    length = sizeof ipv4;
    descriptor = socket(AF_INET, type, 0);
  }
  if (descriptor < 0) return fail(name, "make a socket", errno);
  const int status = bind_and_listen(descriptor, text, name, &address, length, flags);
  if (status < 0) {
    (void)close(descriptor);
    return status;
  }
  return descriptor;
}

static int listen_on(struct hf_worker* worker, const char* name, uint32_t flags, size_t index) {
  const int inherited = inherited_descriptor(name);
  const int descriptor = inherited >= 0 ? adopt_inherited(name, inherited) : make_listener(name, flags);
  if (descriptor < 0) return descriptor;
  const int status = hf_adopt_socket(worker, index, descriptor, name);
  if (status < 0) return status;

  char* bound = worker->text + index * ADDRESS_TEXT_MAX;
  const union hf_address* local = &worker->sockets[index].local;
  if (local->generic.sa_family == AF_UNIX) {
    (void)snprintf(bound, ADDRESS_TEXT_MAX, "%s", name);
  } else {
    if (worker->sockets[index].is_datagram) (void)strcpy(bound, HF_UDP);
    (void)hf_address_text(local, bound + strlen(bound));
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
  int status = hf_make_room_for_sockets(worker, options->standalone_count);
  if (status < 0) return status;
  worker->info = (struct hf_identity){.slots = 1,
                                      .pool = "standalone",
                                      .plane = hf_plane_text(HF_PLANE_SELF),
                                      .listeners = options->standalone_count,
                                      .listener = worker->listeners};
  for (size_t i = 0; i < options->standalone_count; ++i) {
    if ((status = listen_on(worker, options->standalone[i], options->flags, i)) < 0) return status;
  }
  return 0;
}
