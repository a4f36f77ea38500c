#pragma once

#include <cstddef>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A standard output that we inherited and share: with the shell that started us, with its other children, with a log
// collector. Writing to it must never make us wait, and O_NONBLOCK must not be set on it, because that flag would be
// everybody's. So:
//   a socket           is sent to with MSG_DONTWAIT;
//   a pipe, a terminal is opened once more for ourselves, non-blocking; where that is not permitted it is written to
//   only when
//                      poll(2) says that there is room, and at most PIPE_BUF at a time;
//   a regular file, and what is neither, is written to directly: it is never full in the sense of waiting.
// Needs SIGPIPE to be ignored.
class OutputFile {
 public:
  explicit OutputFile(BorrowedFd inherited);

  [[nodiscard]] bool never_waits() const { return kind_ == Kind::Direct; }
  // Readable while there is room: an epoll instance that watches the output. The output itself must not be given to a loop, because
  // libuv makes every descriptor that it watches non-blocking. Nothing where writing never waits.
  [[nodiscard]] const UniqueFd& room() const { return room_; }

  // Answers how many bytes went; 0: there is no room now.
  [[nodiscard]] Result<std::size_t> write_some(std::string_view bytes) const;
  // Waits for room, at most for `limit`.
  void wait_for_room(Duration limit) const;

 private:
  [[nodiscard]] BorrowedFd fd() const { return own_ ? BorrowedFd(own_) : inherited_; }

  enum class Kind { Direct, Socket, Own, Shared };
  BorrowedFd inherited_;
  UniqueFd own_;
  UniqueFd room_;
  Kind kind_;
};

}  // namespace holdfast
