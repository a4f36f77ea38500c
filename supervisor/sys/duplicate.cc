#include "sys/duplicate.h"

#include <fcntl.h>

namespace holdfast {

Result<UniqueFd> duplicate(BorrowedFd fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return last_error("duplicate a descriptor");
  return copy;
}

}  // namespace holdfast
