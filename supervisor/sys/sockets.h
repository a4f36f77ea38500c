#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/ip_address.h"
#include "core/listen_address.h"
#include "core/open_connections.h"
#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Whose a listening socket is, and so who ends it: a service manager goes on listening when we are gone, and starts us
// again for the clients that wait there. OtherListener: one of ours has it too, and is to go when this one has come.
enum class SocketOwner : std::uint8_t { Us, ServiceManager, OtherListener };

// A listening socket: non-blocking, close-on-exec, SO_REUSEADDR, listening.
struct ListeningSocket {
  UniqueFd fd;
  ListenAddress bound;  // with the port that the kernel chose
  SocketOwner owner = SocketOwner::Us;
};

// Whether another listener of ours already holds the port, and lets others in: the other family of a steered listener, or one
// that is about to go and overlaps (`PortLetsIn`).
enum class Sibling { None, Holds };

// Binds and listens. `backlog` is capped by net.core.somaxconn. DualStack falls back to IPv4 where the host has no
// IPv6.
//
// A Unix path: a socket file that nobody answers on (ECONNREFUSED) is stale and replaced, one that answers is
// EADDRINUSE, and a file that is not a socket is never touched (EEXIST). The new file is bound under a temporary name
// and renamed, so there is no moment without it; the kernel goes on to show the temporary name (ss -x). A path of
// more than 107 bytes is ENAMETOOLONG. Mode, owner and group of the file are
// those of the address before anybody can connect; a user or group that does not exist is an error without a code.
// Without them they are what umask and user make of them.
//
// Nothing can be accepted from UDP: EPROTONOSUPPORT, see sys/reuseport.h.
//
// Errors: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOENT (the directory of a path) ...; `doing` begins with "listen on
// ADDRESS".
[[nodiscard]] Result<ListeningSocket> listen_on(const ListenAddress& address, int backlog,
                                                Sibling sibling = Sibling::None);

// While it lives, listeners of the same user may bind addresses that overlap the one of this TCP listener (SO_REUSEPORT). The same
// address is not meant: the kernel would share its clients out. One that lets others in anyhow goes on to do so.
class PortLetsIn {
 public:
  explicit PortLetsIn(BorrowedFd listener);
  ~PortLetsIn();
  PortLetsIn(PortLetsIn&& other) noexcept : changed_(std::move(other.changed_)) {}
  PortLetsIn& operator=(PortLetsIn&&) = delete;

 private:
  UniqueFd changed_;  // empty: nothing is to be taken back
};

// As if this TCP listener were closed, but for those whom the kernel has begun to connect: a new client comes to another listener that
// covers the address, or is refused; a handshake under way is finished, and whoever waits can be accepted. It cannot be undone.
// (The listener is bound to a network interface that there is not: SO_BINDTOIFINDEX, which needs no privilege since Linux 5.7. Where
// it is refused nothing changes.)
void close_to_new_clients(BorrowedFd listener);

// What the kernel answers for "::" where IPv6 is not compiled in, or switched off: try IPv4 alone.
[[nodiscard]] bool lacks_ipv6(const Error& error);

// The end of a Unix listener: it takes no further client (shutdown), and its file is removed, unless somebody else
// answers there by now. What waits in its accept queue can still be accepted. Nothing to do for the abstract name
// space.
void remove_unix_path(const UnixAddress& address, BorrowedFd listener);

struct Endpoint {
  enum class Family : std::uint8_t { Unix, V4, V6 };
  Family family = Family::Unix;
  IpAddress address;  // zeros for Unix
  std::uint16_t port = 0;
};

struct AcceptedConnection {
  UniqueFd fd;  // blocking mode is the worker's choice: accepted non-blocking, close-on-exec
  Endpoint remote;
};

// What accept4 said, apart from a connection.
enum class AcceptStop {
  Empty,     // EAGAIN: nothing waits
  Again,     // this client is gone already (ECONNABORTED, EPROTO, ENETDOWN, ...) or EINTR: ask once more
  NoFds,     // EMFILE, ENFILE: pause
  NoMemory,  // ENOBUFS, ENOMEM: pause
};
// One accept4 (SOCK_NONBLOCK | SOCK_CLOEXEC). Any other error is a Result's error: the listener is broken.
[[nodiscard]] Result<std::variant<AcceptedConnection, AcceptStop>> accept_connection(BorrowedFd listener);

// The local end of a connection. Unix sockets and sockets that are gone give a Unix endpoint of zeros.
[[nodiscard]] Endpoint local_endpoint(BorrowedFd connection);
// Both ends of a TCP connection, as the kernel knows it: behind a proxy they are the proxy's. Nothing for others, and for one
// that has been reset.
[[nodiscard]] std::optional<ConnectionEnds> ends_of(BorrowedFd connection);

// Small writes go out at once (TCP_NODELAY). Sockets that are no TCP have no use for it.
void set_no_delay(BorrowedFd connection);

// Closes with an RST where the protocol has one (SO_LINGER of zero), so that the client fails at once rather than
// waits.
void refuse_connection(UniqueFd connection);

// Sends what fits of an answer to a client that is refused, and says that nothing follows. The descriptor must be kept for a moment:
// closing it while requests are unread resets the connection, and the reset overtakes the answer.
void answer_refused(BorrowedFd connection, std::string_view answer);

// Raises the soft limit of open files to the hard one; answers the limit that now holds.
[[nodiscard]] Result<std::uint64_t> raise_open_file_limit();
// The soft limit that held before the first call of `raise_open_file_limit`; nothing if there was none. For children.
[[nodiscard]] std::optional<std::uint64_t> original_open_file_limit();
// What it was for the program before us, which has raised it already.
void set_original_open_file_limit(std::uint64_t limit);
// Number of descriptors that this process has open (reads /proc/self/fd).
[[nodiscard]] std::uint64_t open_file_count();  // 0 where /proc cannot be read

}  // namespace holdfast
