#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Streams of bytes: Unix stream sockets and pipes.

struct StreamRead {
  enum class State { Bytes, WouldBlock, End };
  State state = State::WouldBlock;
  std::size_t length = 0;  // bytes written into the caller's buffer
};
// One read(2) of a non-blocking descriptor. A peer that was reset is an end like another.
[[nodiscard]] Result<StreamRead> read_some(BorrowedFd stream, std::span<char> buffer);
// One send(2) that neither waits nor raises SIGPIPE. Answers how many bytes went; 0: there is no room now.
[[nodiscard]] Result<std::size_t> send_some(BorrowedFd socket, std::string_view bytes);

// The other end reads an end of the stream behind what was sent; it may go on to send.
void end_stream(BorrowedFd socket);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t user = 0;
};
// Who connected (SO_PEERCRED): as the kernel saw it at connect(2).
[[nodiscard]] Result<PeerCredentials> peer_credentials(BorrowedFd connection);
// The user of this process, or root.
[[nodiscard]] bool is_ours(const PeerCredentials& peer);
// Whether the other end is closed altogether. One that has only finished its sending (SHUT_WR) is still there for an
// answer.
[[nodiscard]] bool peer_is_gone(BorrowedFd connection);

// Connects to a Unix path, blocking. ETIMEDOUT when the server's backlog stays full for `patience`.
[[nodiscard]] Result<UniqueFd> connect_unix(const std::string& path, Duration patience);
// Waits until `fd` can be read: ETIMEDOUT at the end of `patience`.
[[nodiscard]] Outcome wait_readable(BorrowedFd fd, Duration patience);

struct OutputPipe {
  UniqueFd reader;  // non-blocking
  UniqueFd writer;  // blocking, as every program expects its standard output to be
};
// Both ends close-on-exec. `capacity` bytes are asked for; a user who has many pipes gets the kernel's default.
[[nodiscard]] Result<OutputPipe> make_output_pipe(std::size_t capacity);
// How many bytes can wait in a pipe: what its writers have written is never more.
[[nodiscard]] std::size_t pipe_capacity(BorrowedFd end);

// The same open file under another number, close-on-exec.
[[nodiscard]] Result<UniqueFd> duplicate(BorrowedFd fd);

}  // namespace holdfast
