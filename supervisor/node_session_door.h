#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

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
class NodeSessionDoor {
 public:
  struct Hooks {
    std::function<std::optional<SlotId>(const std::string& session)> slot_of;
    std::function<void(Connection, std::optional<SlotId>)> on_placed;  // nothing: by its address
  };
  NodeSessionDoor(Loop& loop, Hooks hooks);
  ~NodeSessionDoor();

  // False: the door is full, and the connection has not been taken.
  [[nodiscard]] bool take(Connection& connection);
  // Those that wait, for a program that goes on where this one stops: there they come once more.
  [[nodiscard]] std::vector<SavedConnection> save(FdList& fds) const;
  // Lets everybody through.
  void open();

 private:
  struct Waiting;
  void look(std::uint64_t id);
  void look_again(Waiting& waiting);
  void let_through(std::uint64_t id, std::optional<SlotId> slot);
  void on_due();
  void arm(TimePoint due);

  Loop& loop_;
  Hooks hooks_;
  std::map<std::uint64_t, std::unique_ptr<Waiting>> waiting_;  // by the connections' ids, so the oldest first
  TimePoint next_ = kNever;                                    // when the timer is armed for
  Timer timer_;
};

}  // namespace holdfast
