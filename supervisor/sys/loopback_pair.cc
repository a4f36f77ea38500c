#include "sys/loopback_pair.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "sys/socket_name.h"

namespace holdfast {

namespace {

constexpr const char* kDoing = "make a local connection";
constexpr int kBacklog = 16;  // for strangers that come between our listen and our connect
constexpr int kStrangers = 64;

bool is_same(const Endpoint& a, const Endpoint& b) { return a.address == b.address && a.port == b.port; }

std::optional<AcceptedConnection> accept_from(BorrowedFd listener, const Endpoint& client) {
  for (int i = 0; i < kStrangers; i++) {
    Result<std::variant<AcceptedConnection, AcceptStop>> answer = accept_connection(listener);
    if (!answer) return std::nullopt;
    if (auto* connection = std::get_if<AcceptedConnection>(&*answer)) {
      if (is_same(connection->remote, client)) return std::move(*connection);
    } else if (std::get<AcceptStop>(*answer) != AcceptStop::Again) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<LoopbackPair> make_loopback_pair() {
  const TcpAddress any_port{TcpAddress::Family::V4, IpAddress::v4(0x7f000001), 0};
  Result<ListeningSocket> listener = listen_on(any_port, kBacklog);
  if (!listener) return Error{listener.error().code, std::string(kDoing) + ": " + listener.error().doing};
  SocketName name;
  if (::getsockname(listener->fd.get(), name.get(), &name.length) != 0) return last_error(kDoing);
  UniqueFd ours(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!ours) return last_error(kDoing);
  if (::connect(ours.get(), name.get(), name.length) != 0) return last_error(kDoing);
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return last_error(kDoing);
  std::optional<AcceptedConnection> theirs = accept_from(listener->fd, local_endpoint(ours));
  if (!theirs) return Error{std::make_error_code(std::errc::connection_aborted), kDoing};
  return LoopbackPair{std::move(ours), *std::move(theirs)};
}

}  // namespace holdfast
