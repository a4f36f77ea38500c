#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/managed_address.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/seccomp_notify.h"
#include "sys/socket_facts.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Gives a worker that was not written for us its slot's listeners: every bind(2) and listen(2) of the worker, of its
// threads and of its descendants waits until it is answered here.
//
//   bind on an address of ours   the worker's socket is exchanged for the listener's, under the same number; bind returns
//                                0. Each bind of an address gets the same socket. What the worker had set on its own
//                                socket comes along: O_NONBLOCK, close-on-exec and the options of adopt_options.
//   listen on such a socket      returns 0 and does nothing: the backlog stays ours, whether the worker's is smaller or larger.
//   everything else              is done by the kernel, as if we were not here: other addresses, protocols and network
//                                namespaces, Unix sockets, a second bind of a socket (EINVAL; but the very same call, made
//                                again at once, succeeds again: it may have been restarted after a signal).
//
// The worker sees the address of the listener (getsockname), which may be wider or narrower than what it asked for. Only
// the descriptor that bind is called with is exchanged. A duplicate made before the bind, in the worker or a child of it,
// still is the worker's first socket, and so is what an epoll set had been told before.
//
// O_NONBLOCK is the worker's wish and belongs to the description that we share with it: from its bind on, the owner of
// the listener must not accept from it without asking poll first, and after the worker's end sets it as it needs it.
//
// A worker whose memory we may not look at (sys/seccomp_notify.h) cannot be captured: its binds are done by the kernel,
// and fail there, for the address is in use; `on_failed` hears why.
//
// A signal that comes before we have taken up a call restarts it, or ends it with EINTR where its handler was set without
// SA_RESTART: a bind that is not captured never does that.
//
// When a Capture ends, binds of processes that the worker has left behind fail with ENOSYS.
class Capture {
 public:
  // A socket for a listener (an index into `managed`) in the domain of the worker's own socket: bound, and listening if
  // it is a stream. The owner may make it at that moment; it keeps it. An error goes to the worker as the errno of its
  // bind, and to `on_failed`.
  using Resolver = std::function<Result<BorrowedFd>(std::size_t listener, SocketDomain domain)>;

  // Called from the loop, the worker waits meanwhile. None may destroy the Capture (Loop::defer).
  struct Hooks {
    // For each bind; twice for one that a signal restarted. `thread`: who called.
    std::function<void(std::size_t listener, pid_t thread)> on_captured;
    std::function<void(std::size_t listener, pid_t thread)> on_listen;  // for each listen on a socket of ours
    // It is about to bind what is not ours: "127.0.0.1:9090", "[::]:9090", "udp://0.0.0.0:53", "unix:/run/x". For the
    // message to somebody who waits for it to bind something else. Left out are
    // datagram sockets on port 0, as clients use them, and families that no client comes by (netlink: getaddrinfo(3)).
    std::function<void(const std::string& address)> on_other_bind;
    std::function<void(const Error&)> on_failed;
  };

  Capture(Loop& loop, UniqueFd notifications, std::vector<ManagedAddress> managed, Resolver resolver, Hooks hooks);
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // The worker has this socket of `listener` otherwise (LISTEN_FDS): its listen on it is answered too, and reported.
  [[nodiscard]] Outcome add_socket(std::size_t listener, BorrowedFd socket);
  // The sockets of ours that the worker has, by their cookies: for another Capture that goes on with the same notifications.
  using Sockets = std::unordered_map<std::uint64_t, std::size_t>;
  [[nodiscard]] const Sockets& sockets() const { return listeners_; }
  void add_sockets(const Sockets& sockets) { listeners_.insert(sockets.begin(), sockets.end()); }
  [[nodiscard]] BorrowedFd notifications() const { return notifications_; }

 private:
  enum class Verdict : std::uint8_t { LetThrough, Answered };
  void on_ready();
  void decide(const InterceptedCall& call);
  Result<Verdict> decide_bind(const InterceptedCall& call);
  Result<Verdict> decide_listen(const InterceptedCall& call);
  struct Success {
    InterceptedCall call;
    std::string address;
  };
  std::optional<Success> take_success_of(pid_t thread);
  bool is_restarted(const InterceptedCall& call, const AskedAddress& asked);
  Result<Verdict> exchange(const InterceptedCall& call, const std::string& address, std::size_t listener,
                           const SocketFacts& facts, BorrowedFd theirs);
  Verdict succeed(const InterceptedCall& call, const std::string& address, std::size_t listener);
  void report_other(const AskedAddress& asked, const SocketFacts& facts);

  UniqueFd notifications_;
  std::vector<ManagedAddress> managed_;
  Resolver resolver_;
  Hooks hooks_;
  Sockets listeners_;  // by the cookie of a socket that the worker has
  // The last call that was given a socket, until its thread calls again. If a signal came between our answer and the
  // caller, the kernel restarts the call, and no kernel before 6.17 tells us surely that this happened.
  std::optional<Success> last_success_;
  FdWatcher watcher_;
};

}  // namespace holdfast
