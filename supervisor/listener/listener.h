#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "core/ids.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "sys/sockets.h"

namespace holdfast {

// Why a connection was not handed to any worker.
enum class Refusal {
  QueueFull,  // --overflow refuse, and its slot had no room
  Stopping,   // the supervisor stopped before a worker took it up
  Stranded,   // it waited at a socket of a worker that ended, and no other can be given it
  Lost,       // the supervisor itself ran out of descriptors while it held it
  Removed,    // its listener was being taken out by a reload
  // Of the front door. What came in the place of a required PROXY header (ProxyFault has the meanings):
  ProxyNoHeader,
  ProxyLineTooLong,
  ProxyBadLine,
  ProxyUnknownVersion,
  ProxyUnknownCommand,
  ProxyUnknownFamily,
  ProxyUnknownTransport,
  ProxyTooLong,
  ProxyAddressesTooShort,
  ProxyBadTlv,
  ProxyBadChecksum,
  PrefaceTimeout,     // the first bytes that are needed did not come in time
  PrefaceOverflow,    // too many waited for theirs, and it had waited longest
  ClientLeft,         // before its first bytes were complete
  Route,              // a route says so
  Denied,             // its address is on the list of those that are not let in
  NotAllowed,         // its address is not on the list of those that are
  SourceRate,         // its source connects too often
  Banned,             // its source was refused too often
  SourceConnections,  // its source has as many open as it may have
  TotalConnections,   // its listener has as many open as it may have
  Connections,        // its pool has as many open as it may have, and it has waited for one of them to be closed
  NoServer,           // its workers are Node.js programs that listen, and none of their servers is its listener's
};
inline constexpr Refusal kLastRefusal = Refusal::NoServer;
[[nodiscard]] std::string_view to_text(Refusal refusal);
[[nodiscard]] std::optional<Refusal> refusal_of(std::string_view text);

// One listening socket and the account of what it accepted. A UDP listener has the account only. Whether it is watched is the dispatcher's decision.
class Listener {
 public:
  // `on_connections`: the kernel reports that something waits to be accepted.
  Listener(Loop& loop, ListenerId id, std::string name, ListeningSocket socket,
           std::function<void(Listener&)> on_connections);
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] ListenerId id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const ListenAddress& address() const { return socket_.bound; }

  [[nodiscard]] SocketOwner owner() const { return socket_.owner; }
  void set_owner(SocketOwner owner) { socket_.owner = owner; }
  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_.fd); }  // never for UDP

  enum class Stage {
    Coming,   // bound; whoever connects waits until the workers know it
    Serving,  // its clients are accepted and served
    Leaving,  // nobody new is served: the workers that know it are being replaced
    Closing,  // nobody new comes; whom the kernel has begun to connect is served
    Gone,     // closed; its account stays, and its id is not used again
  };
  void set_stage(Stage stage) { stage_ = stage; }
  [[nodiscard]] Stage stage() const { return stage_; }
  // Whether a worker that is started now is to know it.
  [[nodiscard]] bool stays() const { return stage_ == Stage::Coming || stage_ == Stage::Serving; }

  enum class Watch { Off, On };
  void watch(Watch watch);
  // Whether handshakes may be under way when it is closed: TCP that is ours alone to close.
  [[nodiscard]] bool may_connect() const;
  void close_to_new_clients();
  // A Unix listener of ours takes no further client, and its file is removed; who waits there can be accepted.
  void leave_path();
  // Closes the socket, after `leave_path`. The account stays.
  void close();
  // One accept4; see sys/sockets.h. A connection is counted here and must end as handed, waiting or refused.
  [[nodiscard]] Result<std::variant<AcceptedConnection, AcceptStop>> accept();

  // What another supervisor has counted here.
  void adopt_account(std::uint64_t accepted, std::map<Refusal, std::uint64_t> refused);
  // What became of its connections is known better than how many there were.
  void correct_accepted(std::int64_t difference) { accepted_ += static_cast<std::uint64_t>(difference); }
  [[nodiscard]] BorrowedFd socket() const { return socket_.fd; }

  // A connection of this listener that was accepted at another socket than this one.
  void count_adopted() { accepted_++; }
  // A connection that goes to another pool, where this listener has an account as well: it is counted there.
  void count_passed_on() { accepted_--; }
  void count_refusal(Refusal refusal) { refused_[refusal]++; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] const std::map<Refusal, std::uint64_t>& refused() const { return refused_; }

 private:
  ListenerId id_;
  std::string name_;
  Stage stage_ = Stage::Coming;
  ListeningSocket socket_;  // without a descriptor once closed
  bool path_left_ = false;
  std::uint64_t accepted_ = 0;
  std::map<Refusal, std::uint64_t> refused_;
  std::optional<FdWatcher> watcher_;
};

}  // namespace holdfast
