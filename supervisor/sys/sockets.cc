#include "sys/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "sys/socket_name.h"
#include "sys/unix_listener.h"

namespace holdfast {
namespace {

SocketName name_of(const IpAddress& address, std::uint16_t port) {
  return address.is_v6() ? v6_name(address, port) : v4_name(address, port);
}

SocketName every_v6_address(std::uint16_t port) { return v6_name(IpAddress::v6({}), port); }

Endpoint endpoint_of(const SocketName& name) {
  if (name.storage.ss_family == AF_INET && name.length >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, &name.storage, sizeof v4);
    return Endpoint{Endpoint::Family::V4, IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  if (name.storage.ss_family == AF_INET6 && name.length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &name.storage, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::copy(std::begin(v6.sin6_addr.s6_addr), std::end(v6.sin6_addr.s6_addr), bytes.begin());
    const IpAddress address = IpAddress::v6(bytes);
    return Endpoint{address.is_v6() ? Endpoint::Family::V6 : Endpoint::Family::V4, address, ntohs(v6.sin6_port)};
  }
  return Endpoint{};
}

// What an IPv6 socket does with IPv4 clients.
enum class V4Clients { Refused, Mapped };

bool set_port_shared(BorrowedFd fd, bool shared) {
  const int value = shared ? 1 : 0;
  return ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &value, sizeof value) == 0;
}

struct Wish {
  int backlog;
  Sibling sibling;
};

Result<UniqueFd> bound_listener(const SocketName& name, V4Clients v4_clients, Wish wish, const std::string& doing) {
  UniqueFd fd(::socket(name.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return last_error(doing);
  const int yes = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) return last_error(doing);
  if (name.storage.ss_family == AF_INET6) {
    const int v6_only = v4_clients == V4Clients::Refused ? 1 : 0;
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0) return last_error(doing);
  }
  if (wish.sibling == Sibling::Holds && !set_port_shared(fd, true)) return last_error(doing);
  if (::bind(fd.get(), name.get(), name.length) != 0) return last_error(doing);
  if (::listen(fd.get(), wish.backlog) != 0) return last_error(doing);
  if (wish.sibling == Sibling::Holds) (void)set_port_shared(fd, false);  // from here on it lets nobody in itself
  return fd;
}

Result<UniqueFd> listen_on_tcp(TcpAddress& address, Wish wish, const std::string& doing) {
  switch (address.family) {
    case TcpAddress::Family::DualStack: {
      Result<UniqueFd> listener = bound_listener(every_v6_address(address.port), V4Clients::Mapped, wish, doing);
      if (listener || !lacks_ipv6(listener.error())) return listener;
      address = TcpAddress{TcpAddress::Family::V4, IpAddress{}, address.port};
      wish.sibling = Sibling::None;  // a sibling may have this very address
      return bound_listener(name_of(IpAddress{}, address.port), V4Clients::Refused, wish, doing);
    }
    case TcpAddress::Family::V6: {
      const bool every = !address.address.is_v6();  // all zeros, in whichever form
      const SocketName name = every ? every_v6_address(address.port) : name_of(address.address, address.port);
      return bound_listener(name, V4Clients::Refused, wish, doing);
    }
    case TcpAddress::Family::V4:
      break;
  }
  return bound_listener(name_of(address.address, address.port), V4Clients::Refused, wish, doing);
}

}  // namespace

bool lacks_ipv6(const Error& error) {
  return error.code == std::errc::address_family_not_supported || error.code == std::errc::address_not_available;
}

Result<ListeningSocket> listen_on(const ListenAddress& address, int backlog, Sibling sibling) {
  const std::string doing = "listen on " + to_text(address);
  if (const auto* path = std::get_if<UnixAddress>(&address)) {
    Result<UniqueFd> listener = listen_on_unix(*path, backlog, doing);
    if (!listener) return std::move(listener).error();
    return ListeningSocket{*std::move(listener), address};
  }
  if (std::holds_alternative<UdpAddress>(address)) {
    return Error{std::make_error_code(std::errc::protocol_not_supported), doing + ": UDP needs the steer plane"};
  }
  TcpAddress bound = std::get<TcpAddress>(address);
  Result<UniqueFd> listener = listen_on_tcp(bound, {backlog, sibling}, doing);
  if (!listener) return std::move(listener).error();
  bound.port = local_endpoint(*listener).port;
  return ListeningSocket{*std::move(listener), bound};
}

PortLetsIn::PortLetsIn(BorrowedFd listener) {
  int shared = 0;
  socklen_t length = sizeof shared;
  if (::getsockopt(listener.get(), SOL_SOCKET, SO_REUSEPORT, &shared, &length) != 0 || shared != 0) return;
  UniqueFd copy(::fcntl(listener.get(), F_DUPFD_CLOEXEC, 3));
  if (copy && set_port_shared(copy, true)) changed_ = std::move(copy);
}

PortLetsIn::~PortLetsIn() {
  if (changed_) (void)set_port_shared(changed_, false);
}

void close_to_new_clients(BorrowedFd listener) {
  const int no_interface = std::numeric_limits<int>::max();  // the kernel counts them from 1
  (void)::setsockopt(listener.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &no_interface, sizeof no_interface);
}

Result<std::variant<AcceptedConnection, AcceptStop>> accept_connection(BorrowedFd listener) {
  using Answer = std::variant<AcceptedConnection, AcceptStop>;
  SocketName name;
  UniqueFd fd(::accept4(listener.get(), name.get(), &name.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) return Answer{AcceptedConnection{std::move(fd), endpoint_of(name)}};
  switch (errno) {
    case EAGAIN:
      return Answer{AcceptStop::Empty};
    case EMFILE:
    case ENFILE:
      return Answer{AcceptStop::NoFds};
    case ENOBUFS:
    case ENOMEM:
      return Answer{AcceptStop::NoMemory};
    // accept(2): errors that already stood on the new connection, and EPERM, which is a firewall's.
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return Answer{AcceptStop::Again};
    default:
      return last_error("accept a connection");
  }
}

Endpoint local_endpoint(BorrowedFd connection) {
  SocketName name;
  if (::getsockname(connection.get(), name.get(), &name.length) != 0) return Endpoint{};
  return endpoint_of(name);
}

std::optional<ConnectionEnds> ends_of(BorrowedFd connection) {
  SocketName name;
  if (::getpeername(connection.get(), name.get(), &name.length) != 0) return std::nullopt;
  const Endpoint remote = endpoint_of(name), local = local_endpoint(connection);
  if (remote.family == Endpoint::Family::Unix || local.family == Endpoint::Family::Unix) return std::nullopt;
  return ConnectionEnds{local.address, remote.address, local.port, remote.port};
}

void set_no_delay(BorrowedFd connection) {
  const int on = 1;
  (void)::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void answer_refused(BorrowedFd connection, std::string_view answer) {
  (void)!::send(connection.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);  // it may be gone
  (void)::shutdown(connection.get(), SHUT_WR);
}

void refuse_connection(UniqueFd connection) {
  const linger at_once{1, 0};
  // Where it fails there is no such protocol, and the close alone has to say it.
  (void)::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace holdfast
