#include "sys/kept_descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace holdfast {

UniqueFd copy_of(BorrowedFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

bool is_socket(BorrowedFd fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISSOCK(status.st_mode);
}

// <sys/pidfd.h> of glibc 2.36 gives it the linkage of C++.
UniqueFd hold_process(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

std::optional<pid_t> process_of(BorrowedFd pidfd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
  for (std::string word; info >> word;) {
    pid_t pid = 0;
    if (word == "Pid:" && info >> pid && pid > 1) return pid;
  }
  return std::nullopt;
}

}  // namespace holdfast
