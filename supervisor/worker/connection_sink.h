#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/time.h"
#include "sys/unique_fd.h"
#include "wire/channel_frames.h"

namespace holdfast {

// An accepted connection that nobody has taken up yet, and what its worker will be told of it.
struct Connection {
  UniqueFd fd;
  ConnectionRecord record;
  std::string details = {};  // ConnectionDetails; mostly empty
};

// Where the connections of a slot wait for its worker, whatever the worker speaks: what the dispatcher puts in and what
// the fleet does with it. It outlives the workers that it serves, one at a time. A connection that was put in is here
// until a worker has taken it up.
class ConnectionSink {
 public:
  virtual ~ConnectionSink() = default;
  ConnectionSink(const ConnectionSink&) = delete;
  ConnectionSink& operator=(const ConnectionSink&) = delete;

  // Queues a connection; `flush` sends it. Never refuses: limits are the caller's business.
  virtual void put(Connection connection) = 0;
  // Sends what is queued. What cannot go now is kept and tried again when it can.
  // Answers copies of ours that are needed no more, for the caller to close: those of a whole turn together cost less
  // (close_all).
  virtual std::vector<UniqueFd> flush() = 0;
  [[nodiscard]] virtual bool unsent() const = 0;
  // After everything that is queued the worker is told to drain.
  virtual void drain(const DrainOrder& order) = 0;

  // The account of one moment: workers change their numbers while we read, so asking one after the other would not add
  // up.
  struct Account {
    std::uint64_t waiting;
    std::uint64_t taken;      // by all workers of this inbox; `lost` among them
    std::uint64_t accepted;   // by all of them from sockets of the slot, which are no business of the channel
    std::uint64_t open;       // taken or accepted by the present worker and not closed, as far as that is known
    std::uint64_t lost;       // by all workers of this inbox
    std::uint64_t stray = 0;  // of those that wait, for which the worker has no use: they stand in nobody's way
  };
  // What takes up room among those that wait.
  [[nodiscard]] static std::uint64_t queued(const Account& account) { return account.waiting - account.stray; }
  [[nodiscard]] virtual Account account() const = 0;
  [[nodiscard]] std::uint64_t waiting() const { return account().waiting; }
  // Where no worker tells what it closes: looks at what is open now, for somebody whose decision depends on it.
  virtual void recount_open() {}
  [[nodiscard]] virtual TimePoint heartbeat(TimePoint now) const = 0;
  // Whether the owner wants to hear as soon as the worker takes something up.
  virtual void want_room(bool wanted) = 0;

  // A worker is about to be started on this inbox, or has ended: the counters of its predecessor are closed.
  virtual void settle() = 0;
  // Some of what no worker has taken up, as far as it can be had back; nothing is left of that when it answers none. It
  // comes in pieces so that the descriptors of one can be given on before those of the next are ours. One without a
  // descriptor was dropped by the kernel at our own limit.
  [[nodiscard]] virtual std::vector<Connection> take_back_some() = 0;
  // It is of no use to another worker: what is in it must go elsewhere.
  [[nodiscard]] virtual bool is_shut() const = 0;

 protected:
  ConnectionSink() = default;
};

}  // namespace holdfast
