#include "sys/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "sys/unique_fd.h"

namespace holdfast {

namespace {

Outcome write_all(BorrowedFd fd, std::string_view text, const std::string& doing) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return last_error(doing);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return last_error(doing);  // EINVAL: a file that no disk stands behind
  return Done{};
}

}  // namespace

Result<std::string> read_text_file(const std::string& path, std::size_t limit) {
  const std::string doing = "read " + path;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return last_error(doing);
  std::string text;
  for (std::array<char, 16384> buffer{};;) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return last_error(doing);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > limit) {
      return Error{std::make_error_code(std::errc::file_too_large),
                   doing + ", of which at most " + std::to_string(limit) + " bytes are read"};
    }
  }
}

FileStamp stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  constexpr std::int64_t kSecond = 1'000'000'000;
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          status.st_ctim.tv_sec * kSecond + status.st_ctim.tv_nsec};
}

Outcome create_text_file(const std::string& path, std::string_view text) {
  const std::string doing = "write " + path;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd) return last_error(doing);
  Outcome written = write_all(fd, text, doing);
  if (!written) (void)::unlink(path.c_str());  // the error that is answered is the one that counts
  return written;
}

}  // namespace holdfast
