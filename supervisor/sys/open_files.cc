#include <dirent.h>
#include <sys/resource.h>

#include <memory>

#include "sys/sockets.h"

namespace holdfast {
namespace {

std::optional<std::uint64_t> original_limit;

}  // namespace

Result<std::uint64_t> raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return last_error("read the limit of open files");
  if (!original_limit) original_limit = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return last_error("raise the limit of open files");
  return std::uint64_t{limit.rlim_cur};
}

std::optional<std::uint64_t> original_open_file_limit() { return original_limit; }

void set_original_open_file_limit(std::uint64_t limit) { original_limit = limit; }

std::uint64_t open_file_count() {
  struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir("/proc/self/fd"));
  if (!directory) return 0;
  std::uint64_t entries = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++entries;
  }
  return entries - 1;  // without the directory itself
}

}  // namespace holdfast
