#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The first bytes of a connection, looked at without taking them.

struct Peeked {
  enum class State {
    Bytes,  // `length` of them, from the first one on
    Empty,  // none yet
    Ended,  // none, and there will be none: the other side has closed or reset
  };
  State state = State::Empty;
  std::size_t length = 0;
};
// MSG_PEEK; never blocks.
[[nodiscard]] Peeked peek(BorrowedFd connection, std::span<char> buffer);
// Takes exactly `length` bytes, which were peeked. False: they are not there any more, because the connection was reset.
[[nodiscard]] bool take_bytes(BorrowedFd connection, std::size_t length);
// Readiness is reported from so many unread bytes on, or at the end of the stream (SO_RCVLOWAT). Sockets without it ignore this.
void report_from(BorrowedFd connection, std::size_t bytes);

// Tells of many descriptors which have got bytes: once for each arrival, and not for as long as they are unread, because
// looking does not take them (edge-triggered epoll). Itself a descriptor that is readable while there is something to tell.
class ArrivalWatch {
 public:
  [[nodiscard]] static Result<ArrivalWatch> create();

  [[nodiscard]] BorrowedFd fd() const { return epoll_; }
  // What has arrived before is told at once. A descriptor that is closed by its last owner needs no `remove`.
  [[nodiscard]] Outcome add(BorrowedFd connection, std::uint64_t token);
  void remove(BorrowedFd connection);
  struct Arrival {
    std::uint64_t token;
    bool ended;  // the other side sends no more
  };
  // How many were written.
  [[nodiscard]] std::size_t take(std::span<Arrival> arrivals);

 private:
  explicit ArrivalWatch(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  UniqueFd epoll_;
};

}  // namespace holdfast
