#include "control/control_server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "sys/sockets.h"
#include "sys/stream.h"

namespace holdfast {

namespace {

constexpr int kBacklog = 64;
constexpr unsigned kOwnerOnly = 0600;
constexpr std::size_t kMaxAsking = 32;   // people and scripts of one machine; each may hold 64 KiB
constexpr std::size_t kMaxWaiting = 32;  // of those that asked to wait, beside the others
constexpr int kAcceptsEachTurn = 16;
constexpr Duration kPause = std::chrono::seconds(1);
constexpr int kExitFailure = 1;
constexpr int kExitPermission = 77;

UnixAddress address_of(const std::string& path) { return {path, {.mode = kOwnerOnly, .user = {}, .group = {}}}; }

ControlFailure busy(const std::string& why) {
  return ControlFailure{.error = "the supervisor is busy: " + why, .exit_code = kExitFailure, .versions = {}};
}

// The one answer of a client that gets no connection. It always fits: nothing was written there before.
void turn_away(BorrowedFd connection, const ControlFailure& why) { (void)send_some(connection, encode(why)); }

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::create(Loop& loop, const std::string& path, Handler handler,
                                                             Duration patience) {
  Result<ListeningSocket> listening = listen_on(address_of(path), kBacklog);
  if (!listening) return std::move(listening).error();
  return adopt(loop, path, std::move(listening->fd), std::move(handler), patience);
}

std::unique_ptr<ControlServer> ControlServer::adopt(Loop& loop, const std::string& path, UniqueFd listener,
                                                    Handler handler, Duration patience) {
  Result<UniqueFd> spare = duplicate(listener);
  return std::unique_ptr<ControlServer>(new ControlServer(loop, address_of(path), std::move(listener),
                                                          spare ? *std::move(spare) : UniqueFd(), std::move(handler),
                                                          patience));
}

ControlServer::ControlServer(Loop& loop, UnixAddress address, UniqueFd listener, UniqueFd spare, Handler handler,
                             Duration patience)
    : loop_(loop),
      address_(std::move(address)),
      listener_(std::move(listener)),
      spare_(std::move(spare)),
      handler_(std::move(handler)),
      patience_(patience),
      alive_(std::make_shared<ControlServer*>(this)),
      watcher_(loop, listener_, [this](FdWatcher::Ready) { on_connections(); }),
      resume_(loop, [this] { watcher_.watch(FdWatcher::Interest::Readable); }) {
  watcher_.watch(FdWatcher::Interest::Readable);
}

ControlServer::~ControlServer() { remove_unix_path(address_, listener_); }

void ControlServer::on_connections() {
  for (int i = 0; i < kAcceptsEachTurn; ++i) {
    Result<std::variant<AcceptedConnection, AcceptStop>> accepted = accept_connection(listener_);
    if (!accepted) {
      spdlog::error("control socket: {}; trying again in a second", accepted.error().message());
      return pause();
    }
    if (auto* const connection = std::get_if<AcceptedConnection>(&*accepted)) {
      welcome(std::move(connection->fd));
      take_spare();
      if (!spare_) return pause();  // that was the last descriptor
      continue;
    }
    switch (std::get<AcceptStop>(*accepted)) {
      case AcceptStop::Empty:
        return take_spare();  // if it was given up for a client that has left meanwhile
      case AcceptStop::Again:
        break;
      case AcceptStop::NoFds:
        if (!spare_) return pause();
        spare_.reset();  // its number is free for the next accept
        break;
      case AcceptStop::NoMemory:
        return pause();
    }
  }
}

void ControlServer::welcome(UniqueFd connection) {
  const Result<PeerCredentials> peer = peer_credentials(connection);
  if (!peer) return;  // it cannot be told apart from a stranger, and the socket is broken
  if (!is_ours(*peer)) {
    spdlog::warn("control socket: turned away user {} (pid {})", peer->user, peer->pid);
    return turn_away(connection, {.error = "permission denied: this supervisor belongs to another user",
                                  .exit_code = kExitPermission,
                                  .versions = {}});
  }
  if (clients_.size() - waiting_by_wish() >= kMaxAsking) {
    return turn_away(connection,
                     busy("it talks to " + std::to_string(kMaxAsking) + " clients at a time; try again in a moment"));
  }
  clients_.push_back(std::make_shared<ControlConnection>(
      loop_, std::move(connection), patience_,
      [this](ControlRequest request, ControlReply reply) { hear(std::move(request), std::move(reply)); },
      [this](const ControlConnection& ended) { on_ended(ended); }));
  clients_.back()->start();
}

// The client that asks is counted already. One too many is refused before anything is done for it.
void ControlServer::hear(ControlRequest request, ControlReply reply) {
  if (request.is_set("wait") && waiting_by_wish() > kMaxWaiting) {
    return reply.send(busy(std::to_string(kMaxWaiting) + " clients wait for it already (--wait); nothing was done, " +
                           "try again without --wait or later"));
  }
  handler_(std::move(request), std::move(reply));
}

std::size_t ControlServer::waiting_by_wish() const {
  return static_cast<std::size_t>(
      std::count_if(clients_.begin(), clients_.end(), [](const auto& client) { return client->waits_by_wish(); }));
}

void ControlServer::pause() {
  watcher_.watch(FdWatcher::Interest::None);
  resume_.arm(loop_.now() + kPause);
}

void ControlServer::on_ended(const ControlConnection& connection) {
  const auto found =
      std::find_if(clients_.begin(), clients_.end(), [&](const auto& held) { return held.get() == &connection; });
  ended_.splice(ended_.end(), clients_, found);
  loop_.defer([alive = std::weak_ptr(alive_)] {
    if (const auto server = alive.lock()) (*server)->free_ended();
  });
}

void ControlServer::free_ended() {
  ended_.clear();
  if (spare_) return;
  take_spare();  // a descriptor has just become free: nobody can have taken it before us
  if (spare_) {
    resume_.disarm();
    watcher_.watch(FdWatcher::Interest::Readable);
  }
}

void ControlServer::take_spare() {
  if (spare_) return;
  Result<UniqueFd> spare = duplicate(listener_);
  if (spare) spare_ = *std::move(spare);
}

}  // namespace holdfast
