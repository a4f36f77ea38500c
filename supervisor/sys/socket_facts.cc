#include "sys/socket_facts.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace holdfast {
namespace {

// Newer than the headers of Debian 12 or of glibc 2.36.
constexpr int kProtocolMptcp = 262;
constexpr int kSoNetnsCookie = 71;  // Linux 5.14
constexpr int kSoBufferLock = 72;   // SO_BUF_LOCK, Linux 5.14

template <class Value>
std::optional<Value> option_of(BorrowedFd socket, int level, int name) {
  Value value{};
  socklen_t length = sizeof value;
  if (::getsockopt(socket.get(), level, name, &value, &length) != 0 || length != sizeof value) return std::nullopt;
  return value;
}

std::optional<Transport> transport_of(int type, int protocol) {
  if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == kProtocolMptcp)) return Transport::Stream;
  if (type == SOCK_DGRAM && protocol == IPPROTO_UDP) return Transport::Datagram;
  return std::nullopt;
}

std::optional<SocketDomain> domain_of(int domain) {
  if (domain == AF_INET) return SocketDomain::Inet;
  if (domain == AF_INET6) return SocketDomain::Inet6;
  return std::nullopt;
}

bool has_port(BorrowedFd socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) return false;
  in_port_t port = 0;
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  const bool inet = name.ss_family == AF_INET || name.ss_family == AF_INET6;
  if (inet) std::memcpy(&port, reinterpret_cast<const char*>(&name) + offsetof(sockaddr_in, sin_port), sizeof port);
  return port != 0;
}

struct Option {
  int level;
  int name;
};
// In this order: to set a buffer's size locks it, and the lock comes after.
constexpr std::array kAdopted{
    Option{SOL_SOCKET, SO_KEEPALIVE},
    Option{SOL_SOCKET, SO_LINGER},
    Option{SOL_SOCKET, SO_OOBINLINE},
    Option{SOL_SOCKET, SO_BROADCAST},
    Option{SOL_SOCKET, SO_PRIORITY},
    Option{SOL_SOCKET, SO_MARK},
    Option{SOL_SOCKET, SO_RCVLOWAT},
    Option{SOL_SOCKET, SO_RCVTIMEO},
    Option{SOL_SOCKET, SO_SNDTIMEO},
    Option{SOL_SOCKET, SO_TIMESTAMP},
    Option{SOL_SOCKET, SO_TIMESTAMPNS},
    Option{SOL_SOCKET, SO_BUSY_POLL},
    Option{SOL_SOCKET, SO_RCVBUF},
    Option{SOL_SOCKET, SO_SNDBUF},
    Option{SOL_SOCKET, kSoBufferLock},
    Option{IPPROTO_TCP, TCP_NODELAY},
    Option{IPPROTO_TCP, TCP_KEEPIDLE},
    Option{IPPROTO_TCP, TCP_KEEPINTVL},
    Option{IPPROTO_TCP, TCP_KEEPCNT},
    Option{IPPROTO_TCP, TCP_USER_TIMEOUT},
    Option{IPPROTO_TCP, TCP_DEFER_ACCEPT},
    Option{IPPROTO_TCP, TCP_SYNCNT},
    Option{IPPROTO_TCP, TCP_LINGER2},
    Option{IPPROTO_TCP, TCP_FASTOPEN},
    Option{IPPROTO_TCP, TCP_SAVE_SYN},
    Option{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    Option{IPPROTO_UDP, UDP_GRO},
    Option{IPPROTO_UDP, UDP_SEGMENT},
    Option{IPPROTO_IP, IP_TOS},
    Option{IPPROTO_IP, IP_TTL},
    Option{IPPROTO_IP, IP_PKTINFO},
    Option{IPPROTO_IP, IP_RECVTOS},
    Option{IPPROTO_IP, IP_RECVTTL},
    Option{IPPROTO_IP, IP_RECVERR},
    Option{IPPROTO_IP, IP_RECVORIGDSTADDR},
    Option{IPPROTO_IP, IP_MTU_DISCOVER},
    Option{IPPROTO_IP, IP_MULTICAST_TTL},
    Option{IPPROTO_IP, IP_MULTICAST_LOOP},
    Option{IPPROTO_IPV6, IPV6_TCLASS},
    Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    Option{IPPROTO_IPV6, IPV6_RECVPKTINFO},
    Option{IPPROTO_IPV6, IPV6_RECVTCLASS},
    Option{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    Option{IPPROTO_IPV6, IPV6_RECVERR},
    Option{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    Option{IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    Option{IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
};

// The bytes of an option: a number, a linger, a timeval.
struct OptionValue {
  std::array<std::byte, 16> bytes{};
  socklen_t length = 0;
  bool operator==(const OptionValue&) const = default;
};

std::optional<OptionValue> bytes_of(BorrowedFd socket, const Option& option) {
  OptionValue value;
  value.length = static_cast<socklen_t>(value.bytes.size());
  if (::getsockopt(socket.get(), option.level, option.name, value.bytes.data(), &value.length) != 0)
    return std::nullopt;
  return value;
}

void halve(OptionValue& value) {
  int number = 0;
  std::memcpy(&number, value.bytes.data(), sizeof number);
  number /= 2;
  std::memcpy(value.bytes.data(), &number, sizeof number);
}

}  // namespace

Result<SocketFacts> socket_facts(BorrowedFd socket) {
  const std::optional<int> type = option_of<int>(socket, SOL_SOCKET, SO_TYPE);
  if (!type) return last_error("look at a socket");
  const std::optional<int> protocol = option_of<int>(socket, SOL_SOCKET, SO_PROTOCOL);
  const std::optional<int> domain = option_of<int>(socket, SOL_SOCKET, SO_DOMAIN);
  SocketFacts facts;
  facts.cookie = option_of<std::uint64_t>(socket, SOL_SOCKET, SO_COOKIE).value_or(0);
  facts.network = option_of<std::uint64_t>(socket, SOL_SOCKET, kSoNetnsCookie);
  facts.transport = transport_of(*type, protocol.value_or(0));
  facts.domain = domain_of(domain.value_or(AF_UNSPEC));
  facts.v6_only = option_of<int>(socket, IPPROTO_IPV6, IPV6_V6ONLY).value_or(0) != 0;
  facts.bound = has_port(socket);
  facts.non_blocking = (::fcntl(socket.get(), F_GETFL) & O_NONBLOCK) != 0;
  return facts;
}

Outcome set_non_blocking(BorrowedFd socket, bool non_blocking) {
  const int flags = ::fcntl(socket.get(), F_GETFL);
  const int wanted = non_blocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (flags >= 0 && (wanted == flags || ::fcntl(socket.get(), F_SETFL, wanted) == 0)) return Done{};
  return last_error(non_blocking ? "make a socket non-blocking" : "make a socket blocking");
}

void adopt_options(BorrowedFd from, BorrowedFd to) {
  for (const Option& option : kAdopted) {
    std::optional<OptionValue> wanted = bytes_of(from, option);
    if (!wanted || wanted == bytes_of(to, option)) continue;
    const bool is_buffer = option.level == SOL_SOCKET && (option.name == SO_RCVBUF || option.name == SO_SNDBUF);
    if (is_buffer) halve(*wanted);  // the kernel doubles what it is given, and shows that
    (void)::setsockopt(to.get(), option.level, option.name, wanted->bytes.data(),
                       wanted->length);  // as the header says
  }
}

}  // namespace holdfast
