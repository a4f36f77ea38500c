#include "sys/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {

bool is_sealed_memory(BorrowedFd fd, std::size_t size) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  struct stat about {};
  return seals >= 0 && (seals & kSeals) == kSeals && ::fstat(fd.get(), &about) == 0 &&
         static_cast<std::size_t>(about.st_size) == size;
}

Result<UniqueFd> make_memory(const char* name) {
  UniqueFd memory(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return last_error("make memory that can be shared");
  return memory;
}

Outcome append_to_memory(BorrowedFd memory, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(memory.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return last_error("write into memory that can be shared");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return Done{};
}

Outcome seal_memory(BorrowedFd memory) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (::fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return last_error("seal memory that can be shared");
  return Done{};
}

Result<std::string> read_memory(BorrowedFd memory, std::size_t offset, std::size_t size) {
  const char* const doing = "read memory that is shared";
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size;) {
    const ssize_t count = ::pread(memory.get(), bytes.data() + at, size - at, static_cast<off_t>(offset + at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error(doing);
    if (count == 0) return Error{std::make_error_code(std::errc::io_error), doing};
    at += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace holdfast
