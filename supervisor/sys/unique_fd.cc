#include "sys/unique_fd.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sys/check.h"

namespace holdfast {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int kept = errno;
  // No retry on EINTR: Linux has closed the descriptor even then. EBADF: somebody closed what was not theirs, and by
  // now the number may be anybody's.
  if (::close(old) != 0 && errno == EBADF) fail_check("closed a descriptor that was not open");
  errno = kept;
}

void close_all(std::vector<UniqueFd> fds) {
  std::sort(fds.begin(), fds.end(), [](const UniqueFd& a, const UniqueFd& b) { return a.get() < b.get(); });
  for (std::size_t first = 0; first < fds.size();) {
    std::size_t end = first + 1;
    while (end < fds.size() && fds[end].get() == fds[end - 1].get() + 1) end++;
    const bool run = end - first > 1 && fds[first].get() >= 0;
    // Where close_range is missing or forbidden they are closed one by one, as they go.
    if (run &&
        ::close_range(static_cast<unsigned>(fds[first].get()), static_cast<unsigned>(fds[end - 1].get()), 0) == 0) {
      for (std::size_t i = first; i < end; i++) (void)fds[i].release();
    }
    first = end;
  }
}

}  // namespace holdfast
