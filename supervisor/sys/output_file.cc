#include "sys/output_file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "sys/stream.h"

namespace holdfast {

namespace {

// The same pipe or terminal with flags of its own.
UniqueFd opened_once_more(BorrowedFd fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

bool has_room(BorrowedFd fd, int milliseconds) {
  pollfd asked{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&asked, 1, milliseconds) == 1;  // an error counts as room: the write tells which
}

}  // namespace

OutputFile::OutputFile(BorrowedFd inherited) : inherited_(inherited), kind_(Kind::Direct) {
  struct stat status {};
  if (::fstat(inherited_.get(), &status) != 0) return;
  const bool is_socket = S_ISSOCK(status.st_mode);
  if (!is_socket && !S_ISFIFO(status.st_mode) && ::isatty(inherited_.get()) != 1) return;
  room_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!is_socket) own_ = opened_once_more(inherited_);
  kind_ = is_socket ? Kind::Socket : own_ ? Kind::Own : Kind::Shared;
  epoll_event event{.events = EPOLLOUT, .data = {}};
  if (::epoll_ctl(room_.get(), EPOLL_CTL_ADD, fd().get(), &event) != 0) room_.reset();
}

Result<std::size_t> OutputFile::write_some(std::string_view bytes) const {
  if (kind_ == Kind::Socket) return send_some(inherited_, bytes);
  if (kind_ == Kind::Shared) {
    if (!has_room(inherited_, 0)) return std::size_t{0};
    bytes = bytes.substr(0, PIPE_BUF);
  }
  for (;;) {
    const ssize_t count = ::write(fd().get(), bytes.data(), bytes.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return last_error("write");
  }
}

void OutputFile::wait_for_room(Duration limit) const {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(std::max(limit, Duration::zero())).count();
  (void)has_room(fd(), static_cast<int>(std::min<long>(count, 60'000)));  // who waits asks again
}

}  // namespace holdfast
