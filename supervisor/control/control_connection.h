#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/time.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/unique_fd.h"
#include "wire/control_message.h"

namespace holdfast {

class ControlConnection;

// The answer that a client waits for: given once, now or much later. It is safe to give when the client, or the server,
// has gone meanwhile. One that is dropped without an answer tells the client so: nobody waits for ever.
class ControlReply {
 public:
  explicit ControlReply(std::weak_ptr<ControlConnection> connection) : connection_(std::move(connection)) {}
  ControlReply(ControlReply&&) noexcept = default;
  ControlReply& operator=(ControlReply&&) = delete;
  ControlReply(const ControlReply&) = delete;
  ControlReply& operator=(const ControlReply&) = delete;
  ~ControlReply();

  void send(const ControlResponse& response);
  // The client's connection, for another process that will answer; none if he has gone. It stays this reply's all the same.
  [[nodiscard]] BorrowedFd connection() const;

 private:
  std::weak_ptr<ControlConnection> connection_;  // empty once the answer is given
};

// One client of the control socket, on the supervisor's side: reads one request, gives it up, writes one answer, ends.
//
//   Reading    until the newline; an answer at once if it is no request; for at most `patience`
//   Waiting    for the reply, as long as the verb takes; ends early if the client leaves
//   Answering  until everything is written; for at most `patience`
//   Ended      told to the owner, who frees it later: it may be on the stack
class ControlConnection : public std::enable_shared_from_this<ControlConnection> {
 public:
  using OnRequest = std::function<void(ControlRequest request, ControlReply reply)>;
  using OnEnded = std::function<void(const ControlConnection& connection)>;

  // Held by a shared_ptr; does nothing before `start`.
  ControlConnection(Loop& loop, UniqueFd fd, Duration patience, OnRequest on_request, OnEnded on_ended);

  void start();
  // Nothing happens unless the client waits.
  void answer(const ControlResponse& response);
  [[nodiscard]] BorrowedFd descriptor() const { return fd_; }
  // Its request said "wait", and has no answer yet: it may stay for as long as the verb takes.
  [[nodiscard]] bool waits_by_wish() const;

 private:
  struct Reading {
    std::string line;
  };
  struct Waiting {
    bool by_wish = false;
  };
  struct Answering {
    std::string text;
    std::size_t sent = 0;
  };
  struct Ended {};

  void on_ready(FdWatcher::Ready ready);
  void read_request();
  void take_request(std::string_view line);
  void look_for_leaving();
  void write_answer();
  void end();

  Loop& loop_;
  UniqueFd fd_;
  Duration patience_;
  OnRequest on_request_;
  OnEnded on_ended_;
  std::variant<Reading, Waiting, Answering, Ended> state_;
  FdWatcher watcher_;
  Timer timer_;
};

}  // namespace holdfast
