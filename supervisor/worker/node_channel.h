#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core/node_session.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "wire/node_stream.h"
#include "worker/node_inbox.h"

namespace holdfast {

// For node_inbox*.cc alone.

// What a program may say to another at once: a broadcast with a picture in it is a few MiB.
inline constexpr std::size_t kLongestNodeMessage = std::size_t{16} * 1024 * 1024;
// Where the kernel refuses for a reason that time heals.
inline constexpr Duration kRetryAfter = std::chrono::milliseconds(5);

// All that is one worker's.
struct NodeInbox::Channel {
  Channel(Loop& loop, UniqueFd end, NodeSession its_session, NodeSerialization serialization,
          std::function<void(FdWatcher::Ready)> on_ready)
      : fd(std::move(end)),
        stream(serialization, kLongestNodeMessage),
        session(std::move(its_session)),
        watcher(loop, fd, std::move(on_ready)) {}

  UniqueFd fd;
  NodeStream stream;
  NodeSession session;
  struct Unread {
    std::string bytes;
    bool asked_for = false;  // by the worker, which a flood of questions would have grow without end
  };
  std::deque<Unread> unread;  // messages that are to be sent; of the first, what is left
  bool cut = false;           // a part of the first of them is sent
  std::size_t unread_bytes = 0;
  std::size_t asked_for = 0;  // messages
  Blocked blocked = Blocked::No;
  std::optional<TimePoint> unread_since;  // the worker's queue is full
  TimePoint retry_at = kNever;            // while blocked otherwise
  TimePoint last_connection_at{};
  TimePoint answers_from = kNever;  // while answers gather: from when on they are read in passing,
  TimePoint answers_at = kNever;    // and when for their own sake
  std::uint64_t sent_by_then = 0;
  bool distrusted = false;  // it broke the protocol: only its answers to connections are heard, and nothing is said
  bool ended = false;       // nothing is written any more
  bool joined = false;   // the next of what comes may be the end of a message whose beginning another program has read
  bool learned = false;  // in this turn, what another program must know
  bool to_be_closed = false;
  bool told = false;  // it has had its time to open its servers
  FdWatcher watcher;
};

}  // namespace holdfast
