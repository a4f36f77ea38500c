#include "sys/unique_fd.h"

#include <unistd.h>

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

}  // namespace holdfast
