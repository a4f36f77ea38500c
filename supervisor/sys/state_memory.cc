#include "sys/state_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/checksum.h"

namespace holdfast {

namespace {

constexpr std::uint64_t kMagic = 0x6174735464666c68;  // "hlfdTsta"
constexpr const char* kDoing = "keep the state in memory";
// A state is some kilobytes for each worker; what claims to be more is broken.
constexpr std::uint64_t kLongest = std::uint64_t{256} << 20;

struct Head {
  std::uint64_t magic;
  std::uint64_t sequence;
  std::uint64_t length;
  std::uint64_t checksum;
};

struct Half {
  std::uint64_t sequence;
  std::string text;
};

bool write_at(BorrowedFd fd, const void* bytes, std::size_t size, off_t offset) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t written = ::pwrite(fd.get(), at, size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    offset += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

bool read_at(BorrowedFd fd, void* bytes, std::size_t size, off_t offset) {
  char* at = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t got = ::pread(fd.get(), at, size, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    offset += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

std::optional<Half> read_half(BorrowedFd fd) {
  Head head{};
  if (!read_at(fd, &head, sizeof head, 0) || head.magic != kMagic || head.length > kLongest) return std::nullopt;
  std::string text(head.length, '\0');
  if (!read_at(fd, text.data(), text.size(), sizeof head) || crc32c(text) != head.checksum) return std::nullopt;
  return Half{head.sequence, std::move(text)};
}

}  // namespace

Result<StateMemory> StateMemory::create() {
  std::array<UniqueFd, 2> halves;
  for (UniqueFd& half : halves) {
    half = UniqueFd(::memfd_create("holdfast-state", MFD_CLOEXEC));
    if (!half) return last_error(kDoing);
  }
  return StateMemory(std::move(halves));
}

Result<StateMemory> StateMemory::adopt(std::array<UniqueFd, 2> halves) {
  for (const UniqueFd& half : halves) {
    struct stat status {};
    if (!half || ::fstat(half.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      return Error{std::make_error_code(std::errc::invalid_argument), kDoing};
    }
  }
  StateMemory memory(std::move(halves));
  // Which of them is which the sequence tells: even numbers are in the first.
  const std::optional<Half> first = read_half(memory.halves_[0]);
  const std::optional<Half> second = read_half(memory.halves_[1]);
  const bool swapped = (first && first->sequence % 2 == 1) || (second && second->sequence % 2 == 0);
  if (swapped) std::swap(memory.halves_[0], memory.halves_[1]);
  memory.sequence_ = std::max(first ? first->sequence : 0, second ? second->sequence : 0);
  return memory;
}

Outcome StateMemory::write(std::string_view text) {
  const std::uint64_t next = sequence_ + 1;
  const UniqueFd& half = halves_[next % 2];
  const Head none{};
  const Head head{kMagic, next, text.size(), crc32c(text)};
  // From the first of these writes to the last one it holds no text.
  if (!write_at(half, &none, sizeof none, 0)) return last_error(kDoing);
  if (!write_at(half, text.data(), text.size(), sizeof head)) return last_error(kDoing);
  if (!write_at(half, &head, sizeof head, 0)) return last_error(kDoing);
  // So that a state which was large once does not hold its memory for ever; that it fails harms nobody.
  (void)::ftruncate(half.get(), static_cast<off_t>(sizeof head + text.size()));
  sequence_ = next;
  return Done{};
}

Result<std::string> StateMemory::read() const {
  std::optional<Half> newest = read_half(halves_[0]);
  std::optional<Half> other = read_half(halves_[1]);
  if (!newest || (other && other->sequence > newest->sequence)) newest = std::move(other);
  if (!newest) return Error{std::make_error_code(std::errc::no_message_available), "read the state that was kept"};
  return std::move(newest->text);
}

}  // namespace holdfast
