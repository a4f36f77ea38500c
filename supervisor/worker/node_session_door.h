#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/ids.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_table.h"
#include "wire/saved_connection.h"
#include "worker/connection_sink.h"

namespace holdfast {

// Where connections wait until it is known which session of Socket.IO they ask for: "sid" in the target of their first
// request, which is peeked at and stays in the connection. It waits a limited time, among a limited number; a connection without a
// session, or whose request does not come, is placed by its address.
//
// A session that nobody knows may be announced yet: whoever asks for one is looked at once more when it is, or when a moment
// has passed. In between he costs nothing: anybody can ask for what there never was.
class NodeSessionDoor {
 public:
  struct Hooks {
    std::function<std::optional<SlotId>(const std::string& session)> slot_of;
    std::function<void(Connection, std::optional<SlotId>)> on_placed;  // nothing: by its address
    std::function<void()> on_overflow;  // so many wait that the one who came first is placed by his address
  };
  static constexpr std::size_t kMostWaiting = 4096;
  NodeSessionDoor(Loop& loop, Hooks hooks, std::size_t most_waiting = kMostWaiting);
  ~NodeSessionDoor();

  void take(Connection connection);
  // A worker has announced it.
  void on_session(const std::string& session);
  // Those that wait, for a program that goes on where this one stops: there they come once more.
  [[nodiscard]] std::vector<SavedConnection> save(FdList& fds) const;
  // Lets everybody through.
  void open();

 private:
  struct Waiting;
  void look(std::uint64_t id);
  void look_at(std::uint64_t id, TimePoint when);
  void let_through(std::uint64_t id, std::optional<SlotId> slot);
  void on_due();

  Loop& loop_;
  Hooks hooks_;
  const std::size_t most_waiting_;
  std::map<std::uint64_t, std::unique_ptr<Waiting>> waiting_;  // by the connections' ids, so the oldest first
  std::set<std::pair<TimePoint, std::uint64_t>> due_;          // when each is looked at, whatever happens
  std::multimap<std::string, std::uint64_t> unknown_;          // sessions that are waited for
  Timer timer_;
};

}  // namespace holdfast
