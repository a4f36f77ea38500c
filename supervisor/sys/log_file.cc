#include "sys/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace holdfast {

namespace {

constexpr mode_t kMode = 0640;

Result<UniqueFd> open_file(const std::string& path) {
  const std::string doing = "open the log file " + path;
  // Non-blocking for the open alone: a pipe without a reader would hold us up.
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, kMode));
  if (!fd) return last_error(doing);
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return last_error(doing);
  if (!S_ISREG(facts.st_mode)) return Error{{}, doing + ": it is no regular file"};
  return fd;
}

}  // namespace

Result<LogFile> LogFile::open(std::string path) {
  Result<UniqueFd> fd = open_file(path);
  if (!fd) return std::move(fd).error();
  return LogFile(std::move(path), *std::move(fd));
}

Outcome LogFile::reopen() {
  const Result<UniqueFd> fresh = open_file(path_);
  if (!fresh) return fresh.error();
  if (::dup3(fresh->get(), fd_.get(), O_CLOEXEC) < 0) return last_error("open the log file " + path_);
  return Done{};
}

}  // namespace holdfast
