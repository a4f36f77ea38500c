#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/open_connections.h"
#include "core/result.h"
#include "core/time.h"
#include "sys/tcp_states.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Knows which of the connections that were given away are still open. No worker has to tell, and of Node.js none would: the kernel is
// asked, when it matters.
//
// Two are asked about for each that comes, so it never remembers many more than twice of what is open. Asking costs a microsecond
// or two for each connection, and is bounded in time: a flood at a limit does not make it a flood of questions.
class Census {
 public:
  using Connection = OpenConnections::Connection;
  // For `some`: in a state that is written once, and in one that is written each second (some 60 bytes for each).
  static constexpr std::size_t kMostSaved = 65'536;
  static constexpr std::size_t kMostKept = 4096;
  using OnClosed = std::function<void(const Connection&)>;

  // Errors: as TcpStates::open.
  [[nodiscard]] static Result<std::unique_ptr<Census>> create(HashKey key, OnClosed on_closed);

  // Remembers a connection. Nothing happens, and `false` is answered, for what is no TCP connection, or has been reset.
  bool add(BorrowedFd connection, std::uint64_t group, std::uint64_t note);

  // Some of those that are remembered, for a program that takes over: it remembers them by `recall`. Whoever is closed by then is found out
  // like all others.
  [[nodiscard]] std::vector<Connection> some(std::size_t most) const { return connections_.some(most); }
  void recall(const Connection& connection);

  // Finds out which of the group are closed; they are told by `on_closed` and forgotten. Of large groups a part at each call, and nothing if
  // there was much to ask shortly before.
  void recount(std::uint64_t group, TimePoint now);
  // The same among all.
  void recount_all(TimePoint now);
  // Of as many as that, for somebody who wants to see numbers.
  void recount_now(std::size_t most) { (void)ask_about(connections_.next(most)); }
  // One of the group, which may have been closed: nobody is asked.
  [[nodiscard]] std::optional<Connection> one_of(std::uint64_t group);
  // One that is open; of large groups only a part is asked about.
  [[nodiscard]] std::optional<Connection> open_one_of(std::uint64_t group);

  [[nodiscard]] std::size_t remembered() const { return connections_.size(); }

 private:
  Census(HashKey key, TcpStates states, OnClosed on_closed);
  std::vector<Connection> ask_about(const std::vector<Connection>& connections);  // those that are open
  [[nodiscard]] bool may_ask(TimePoint now) const { return now >= next_question_; }
  void rest_after(std::size_t questions, TimePoint now);

  OpenConnections connections_;
  const TcpStates states_;
  const OnClosed on_closed_;
  std::size_t unswept_ = 0;  // that came since the last look at all
  TimePoint next_question_{};
};

}  // namespace holdfast
