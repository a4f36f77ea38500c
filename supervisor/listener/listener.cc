#include "listener/listener.h"

#include <utility>

namespace holdfast {

std::string_view to_text(Refusal refusal) {
  switch (refusal) {
    case Refusal::QueueFull:
      return "queue-full";
    case Refusal::Stopping:
      return "stopping";
    case Refusal::Stranded:
      return "stranded";
    case Refusal::Lost:
      return "descriptor-limit";
    case Refusal::ProxyNoHeader:
      return "proxy-no-header";
    case Refusal::ProxyLineTooLong:
      return "proxy-line-too-long";
    case Refusal::ProxyBadLine:
      return "proxy-bad-line";
    case Refusal::ProxyUnknownVersion:
      return "proxy-unknown-version";
    case Refusal::ProxyUnknownCommand:
      return "proxy-unknown-command";
    case Refusal::ProxyUnknownFamily:
      return "proxy-unknown-family";
    case Refusal::ProxyUnknownTransport:
      return "proxy-unknown-transport";
    case Refusal::ProxyTooLong:
      return "proxy-too-long";
    case Refusal::ProxyAddressesTooShort:
      return "proxy-addresses-too-short";
    case Refusal::ProxyBadTlv:
      return "proxy-bad-tlv";
    case Refusal::ProxyBadChecksum:
      return "proxy-bad-checksum";
    case Refusal::PrefaceTimeout:
      return "preface-timeout";
    case Refusal::PrefaceOverflow:
      return "preface-overflow";
    case Refusal::ClientLeft:
      return "client-left";
    case Refusal::Route:
      return "route";
    case Refusal::Denied:
      return "denied";
    case Refusal::NotAllowed:
      return "not-allowed";
    case Refusal::SourceRate:
      return "source-rate";
    case Refusal::Banned:
      return "banned";
    case Refusal::SourceConnections:
      return "source-connections";
    case Refusal::TotalConnections:
      return "total-connections";
    case Refusal::Connections:
      return "max-connections";
    case Refusal::Removed:
      return "listener-removed";
    case Refusal::NoServer:
      return "no-server";
  }
  return "unknown";
}

std::optional<Refusal> refusal_of(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(kLastRefusal); i++) {
    if (to_text(static_cast<Refusal>(i)) == text) return static_cast<Refusal>(i);
  }
  return std::nullopt;
}

void Listener::adopt_account(std::uint64_t accepted, std::map<Refusal, std::uint64_t> refused) {
  accepted_ = accepted;
  refused_ = std::move(refused);
}

Listener::Listener(Loop& loop, ListenerId id, std::string name, ListeningSocket socket,
                   std::function<void(Listener&)> on_connections)
    : id_(id), name_(std::move(name)), socket_(std::move(socket)) {
  if (!socket_.fd) return;
  watcher_.emplace(loop, socket_.fd, [this, hear = std::move(on_connections)](FdWatcher::Ready) { hear(*this); });
}

bool Listener::may_connect() const {
  return socket_.fd && socket_.owner == SocketOwner::Us && std::holds_alternative<TcpAddress>(socket_.bound);
}

void Listener::close_to_new_clients() {
  if (may_connect()) holdfast::close_to_new_clients(socket_.fd);
}

void Listener::leave_path() {
  const auto* const path = std::get_if<UnixAddress>(&socket_.bound);
  const bool has_path = path != nullptr && socket_.fd && socket_.owner == SocketOwner::Us;
  if (has_path && !std::exchange(path_left_, true)) remove_unix_path(*path, socket_.fd);
}

void Listener::close() {
  watcher_.reset();
  leave_path();
  socket_.fd.reset();
}

void Listener::watch(Watch watch) {
  if (watcher_) watcher_->watch(watch == Watch::On ? FdWatcher::Interest::Readable : FdWatcher::Interest::None);
}

Result<std::variant<AcceptedConnection, AcceptStop>> Listener::accept() {
  Result<std::variant<AcceptedConnection, AcceptStop>> accepted = accept_connection(socket_.fd);
  if (accepted && std::holds_alternative<AcceptedConnection>(*accepted)) accepted_++;
  return accepted;
}

}  // namespace holdfast
