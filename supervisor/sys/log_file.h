#pragma once

#include <string>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A regular file that lines are added to (O_APPEND), and that may be renamed under us: `reopen` then opens its name anew. The
// descriptor's number stays the same, so whoever writes to it needs not hear of that.
class LogFile {
 public:
  // Made if it is not there, with mode 0640 and our umask. Errors: ENOENT (the directory), EACCES, ENXIO or EISDIR where the
  // name is taken by something that is no regular file, ...; `doing` is "open the log file PATH".
  [[nodiscard]] static Result<LogFile> open(std::string path);
  // As above. If it fails, everything goes on to the file of before.
  [[nodiscard]] Outcome reopen();

  [[nodiscard]] BorrowedFd fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  LogFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace holdfast
