#include "sys/reuseport.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "sys/socket_name.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using Domain = SocketDomain;
using V4Clients = GroupAddress::V4Clients;

Outcome set(BorrowedFd socket, int level, int option, int value, const std::string& doing) {
  if (::setsockopt(socket.get(), level, option, &value, sizeof value) != 0) return last_error(doing);
  return Done{};
}

Result<UniqueFd> new_socket(const GroupAddress& address, const std::string& doing) {
  const bool tcp = address.transport == Transport::Stream;
  const int domain = address.domain == Domain::Inet6 ? AF_INET6 : AF_INET;
  UniqueFd fd(::socket(domain, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return last_error(doing);
  if (tcp) {
    if (Outcome done = set(fd, SOL_SOCKET, SO_REUSEADDR, 1, doing); !done) return std::move(done).error();
  }
  if (address.domain == Domain::Inet6) {
    const int only = address.v4_clients == V4Clients::Refused ? 1 : 0;
    if (Outcome done = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, only, doing); !done) return std::move(done).error();
  }
  return fd;
}

Outcome bind_and_listen(BorrowedFd fd, const GroupAddress& address, int backlog, const std::string& doing) {
  const SocketName name =
      address.domain == Domain::Inet6 ? v6_name(address.address, address.port) : v4_name(address.address, address.port);
  if (::bind(fd.get(), name.get(), name.length) != 0) return last_error(doing);
  if (address.transport == Transport::Stream && ::listen(fd.get(), backlog) != 0) return last_error(doing);
  return Done{};
}

// A socket that has a program before it is bound cannot share its port with one that is there already (EADDRINUSE); others
// may then join it. Exactly what the first one needs.
Outcome hold_alone(BorrowedFd fd, const GroupAddress& address, int backlog, const std::string& doing) {
  if (Outcome done = attach_program(fd, constant_program(0)); !done) return done;
  return bind_and_listen(fd, address, backlog, doing);
}

// Beside a sibling the program comes last; until then the only member of the group is this one.
Outcome hold_beside(BorrowedFd fd, const GroupAddress& address, int backlog, const std::string& doing) {
  if (Outcome done = bind_and_listen(fd, address, backlog, doing); !done) return done;
  return attach_program(fd, constant_program(0));
}

tcp_info tcp_info_of(BorrowedFd member) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(member.get(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return tcp_info{};
  return info;
}

}  // namespace

Result<GroupSocket> open_control_socket(const GroupAddress& address, int backlog, Sibling sibling) {
  const std::string doing = "listen on " + to_text(address);
  Result<UniqueFd> fd = new_socket(address, doing);
  if (!fd) return std::move(fd).error();
  if (Outcome done = set(*fd, SOL_SOCKET, SO_REUSEPORT, 1, doing); !done) return std::move(done).error();
  Outcome held =
      sibling == Sibling::None ? hold_alone(*fd, address, backlog, doing) : hold_beside(*fd, address, backlog, doing);
  if (!held) return std::move(held).error();
  GroupAddress bound = address;
  bound.port = local_endpoint(*fd).port;
  return GroupSocket{*std::move(fd), bound};
}

Result<GroupSocket> share_control_socket(BorrowedFd socket, const GroupAddress& address) {
  UniqueFd fd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  if (!fd) return last_error("listen on " + to_text(address));
  if (Outcome done = attach_program(fd, constant_program(0)); !done) return std::move(done).error();
  make_nonblocking(fd);
  return GroupSocket{std::move(fd), address};
}

Result<UniqueFd> open_member_socket(const GroupAddress& address, int backlog) {
  const std::string doing = "listen on " + to_text(address) + " once more";
  Result<UniqueFd> fd = new_socket(address, doing);
  if (!fd) return fd;
  for (const int option : {SO_REUSEPORT, SO_LOCK_FILTER}) {
    if (Outcome done = set(*fd, SOL_SOCKET, option, 1, doing); !done) return std::move(done).error();
  }
  if (Outcome done = bind_and_listen(*fd, address, backlog, doing); !done) return std::move(done).error();
  return fd;
}

Outcome attach_program(BorrowedFd member, std::span<const BpfInstruction> program) {
  // sock_fprog has no const form; the kernel only reads.
  std::vector<sock_filter> filter;
  filter.reserve(program.size());
  for (const BpfInstruction& one : program) filter.push_back({one.code, one.jump_if_true, one.jump_if_false, one.k});
  const sock_fprog whole{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::setsockopt(member.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) != 0) {
    return last_error("attach a program of " + std::to_string(program.size()) + " instructions to a reuseport group");
  }
  return Done{};
}

bool is_listening(BorrowedFd member) {
  // A listener leaves the group before its state says so, with the socket locked all the while. Setting an option that is
  // set already takes the same lock; reading the state alone would not.
  (void)set(member, SOL_SOCKET, SO_LOCK_FILTER, 1, "");
  int listens = 0;
  socklen_t length = sizeof listens;
  return ::getsockopt(member.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
}

void expel(BorrowedFd member) {
  (void)set(member, SOL_SOCKET, SO_REUSEPORT, 0, "");  // it cannot fail
  (void)::shutdown(member.get(), SHUT_RDWR);           // ENOTCONN: it is out already
}

std::uint32_t accept_queue_length(BorrowedFd member) {
  const tcp_info info = tcp_info_of(member);
  return info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : 0;
}

std::uint32_t receive_queue_bytes(BorrowedFd member) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> account{};
  socklen_t length = sizeof account;
  if (::getsockopt(member.get(), SOL_SOCKET, SO_MEMINFO, account.data(), &length) != 0) return 0;
  return account[SK_MEMINFO_RMEM_ALLOC];
}

std::uint64_t discard_datagrams(BorrowedFd member) {
  constexpr int kAtMost = 512;  // a flood must not keep us here
  std::uint64_t count = 0;
  std::byte nothing{};
  for (int i = 0; i < kAtMost; ++i) {
    if (::recv(member.get(), &nothing, 0, MSG_DONTWAIT) >= 0) {
      ++count;
    } else if (errno == EAGAIN) {
      break;
    }  // else an error stood on the socket (ICMP, a bad checksum), and is gone now
  }
  return count;
}

bool is_nonblocking(BorrowedFd member) {
  const int flags = ::fcntl(member.get(), F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

void make_nonblocking(BorrowedFd member) {
  const int flags = ::fcntl(member.get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(member.get(), F_SETFL, flags | O_NONBLOCK);
}

}  // namespace holdfast
