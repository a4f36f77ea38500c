#include "sys/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace holdfast {

namespace {

// Rounded up: a wait of a nanosecond is not a busy one.
int poll_milliseconds(Duration patience) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(std::max(patience, Duration::zero())).count();
  return static_cast<int>(std::min<std::chrono::milliseconds::rep>(count, std::numeric_limits<int>::max()));
}

}  // namespace

Result<StreamRead> read_some(BorrowedFd stream, std::span<char> buffer) {
  for (;;) {
    const ssize_t count = ::read(stream.get(), buffer.data(), buffer.size());
    if (count > 0) return StreamRead{StreamRead::State::Bytes, static_cast<std::size_t>(count)};
    if (count == 0 || errno == ECONNRESET) return StreamRead{StreamRead::State::End, 0};
    if (errno == EAGAIN) return StreamRead{StreamRead::State::WouldBlock, 0};
    if (errno != EINTR) return last_error("read");
  }
}

Result<std::size_t> send_some(BorrowedFd socket, std::string_view bytes) {
  for (;;) {
    const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return std::size_t{0};
    if (errno != EINTR) return last_error("send");
  }
}

void end_stream(BorrowedFd socket) {
  (void)::shutdown(socket.get(), SHUT_WR);  // it fails only where the other end is gone already
}

Result<PeerCredentials> peer_credentials(BorrowedFd connection) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return last_error("ask who connected");
  }
  return PeerCredentials{credentials.pid, credentials.uid};
}

bool is_ours(const PeerCredentials& peer) { return peer.user == ::geteuid() || peer.user == 0; }

bool peer_is_gone(BorrowedFd connection) {
  pollfd asked{.fd = connection.get(), .events = 0, .revents = 0};
  return ::poll(&asked, 1, 0) == 1 && (asked.revents & (POLLHUP | POLLERR)) != 0;
}

Result<UniqueFd> connect_unix(const std::string& path, Duration patience) {
  const std::string doing = "connect to " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{std::make_error_code(std::errc::filename_too_long), doing};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return last_error(doing);
  // A connect(2) that waits for room in the backlog waits as long as a send would.
  const auto micros = std::chrono::ceil<std::chrono::microseconds>(std::max(patience, Duration(1))).count();
  const timeval limit{.tv_sec = micros / 1'000'000, .tv_usec = micros % 1'000'000};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) return last_error(doing);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) errno = ETIMEDOUT;
    return last_error(doing);
  }
  return fd;
}

Outcome wait_readable(BorrowedFd fd, Duration patience) {
  using std::chrono::steady_clock;
  const TimePoint end = steady_clock::now() + patience;
  for (;;) {
    pollfd asked{.fd = fd.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&asked, 1, poll_milliseconds(end - steady_clock::now()));
    if (ready == 1) return Done{};
    if (ready < 0 && errno != EINTR) return last_error("wait for an answer");
    if (ready == 0) return Error{std::make_error_code(std::errc::timed_out), "wait for an answer"};
  }
}

Result<OutputPipe> make_output_pipe(std::size_t capacity) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return last_error("make a pipe");
  OutputPipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK) != 0) return last_error("make a pipe");
  (void)::fcntl(pipe.reader.get(), F_SETPIPE_SZ, static_cast<int>(capacity));  // a smaller one serves as well
  return pipe;
}

std::size_t pipe_capacity(BorrowedFd end) {
  const int capacity = ::fcntl(end.get(), F_GETPIPE_SZ);
  return capacity > 0 ? static_cast<std::size_t>(capacity) : 0;
}

Result<UniqueFd> duplicate(BorrowedFd fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return last_error("duplicate a descriptor");
  return copy;
}

}  // namespace holdfast
