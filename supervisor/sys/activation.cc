#include "sys/activation.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "sys/socket_facts.h"
#include "sys/socket_name.h"

namespace holdfast {

namespace {

bool is_set(BorrowedFd socket, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, option, &value, &length) == 0 && value != 0;
}

// Where a Unix socket listens; nothing for any other socket.
std::optional<UnixAddress> unix_address_of(BorrowedFd socket) {
  SocketName name;
  if (::getsockname(socket.get(), name.get(), &name.length) != 0 || name.storage.ss_family != AF_UNIX)
    return std::nullopt;
  const char* const path = reinterpret_cast<const char*>(&name.storage) + offsetof(sockaddr_un, sun_path);
  std::string text(path, name.length - offsetof(sockaddr_un, sun_path));
  if (text.empty()) return std::nullopt;  // it has no name
  if (text.front() == '\0') return UnixAddress{"@" + text.substr(1)};
  return UnixAddress{text.substr(0, text.find('\0'))};
}

TcpAddress internet_address_of(BorrowedFd socket, const SocketFacts& facts) {
  const Endpoint bound = local_endpoint(socket);
  if (facts.domain == SocketDomain::Inet) return {TcpAddress::Family::V4, bound.address, bound.port};
  // An IPv6 socket for every address of both families.
  if (bound.address == IpAddress::v6({}) && !facts.v6_only) return {TcpAddress::Family::DualStack, {}, bound.port};
  return {bound.address.is_v6() ? TcpAddress::Family::V6 : TcpAddress::Family::V4, bound.address, bound.port};
}

std::optional<ListenAddress> address_of(BorrowedFd socket, const SocketFacts& facts) {
  if (facts.domain && facts.transport == Transport::Stream) return internet_address_of(socket, facts);
  if (facts.domain && facts.transport == Transport::Datagram) {
    const TcpAddress address = internet_address_of(socket, facts);
    return UdpAddress{address.family, address.address, address.port};
  }
  if (std::optional<UnixAddress> path = unix_address_of(socket)) return *std::move(path);
  return std::nullopt;
}

}  // namespace

Result<std::vector<GivenDescriptor>> take_given_descriptors() {
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(1, &names);
  const std::unique_ptr<char*, void (*)(char**)> array(names, [](char** a) { std::free(a); });  // NOLINT
  if (count < 0) {
    return Error{std::error_code(-count, std::generic_category()), "take the sockets that the service manager gave"};
  }
  std::vector<GivenDescriptor> given;
  for (int i = 0; i < count; i++) {
    const std::unique_ptr<char, void (*)(char*)> name(names[i], [](char* n) { std::free(n); });  // NOLINT
    given.push_back({name.get(), UniqueFd(SD_LISTEN_FDS_START + i)});
  }
  return given;
}

Result<ListeningSocket> as_listener(GivenDescriptor given) {
  const std::string doing = "the socket systemd:" + given.name;
  const Result<SocketFacts> facts = socket_facts(given.fd);
  if (!facts) return Error{facts.error().code, doing};
  const std::optional<ListenAddress> address = address_of(given.fd, *facts);
  if (!address) return Error{{}, doing + " is neither TCP nor UDP nor a Unix path"};
  const bool datagrams = std::holds_alternative<UdpAddress>(*address);
  if (!datagrams && !is_set(given.fd, SO_ACCEPTCONN)) {
    return Error{{}, doing + " does not listen: a socket unit for it needs ListenStream= and Accept=no"};
  }
  if (Outcome set = set_non_blocking(given.fd, true); !set) return std::move(set).error();
  return ListeningSocket{std::move(given.fd), *address, SocketOwner::ServiceManager};
}

Outcome check_can_be_steered(const ListeningSocket& socket) {
  const std::string doing = to_text(socket.bound) + " cannot be steered by the kernel: the service manager opened it ";
  if (!is_set(socket.fd, SO_REUSEPORT)) {
    return Error{{},
                 doing +
                     "without SO_REUSEPORT. Write ReusePort=yes into the socket unit, or let holdfast bind the "
                     "address itself (address = \"" +
                     to_text(socket.bound) + "\"), or have workers of the SDK (intake sdk, plane pass)"};
  }
  struct stat status {};
  if (::fstat(socket.fd.get(), &status) != 0) return last_error(doing);
  if (status.st_uid == ::geteuid()) return Done{};
  return Error{{},
               doing + "as user " + std::to_string(status.st_uid) + " and we are user " + std::to_string(::geteuid()) +
                   ": the kernel lets only sockets of one user share an address. Let holdfast bind it itself (address "
                   "= \"" +
                   to_text(socket.bound) + "\"), or have workers of the SDK (intake sdk, plane pass)"};
}

}  // namespace holdfast
