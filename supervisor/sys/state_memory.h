#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A text in memory that outlives its writer, if somebody else has the descriptors too: two memfds, which are written in turn.
// Whenever the writer is killed, one of them holds a whole text: the last that was written, or the one before it.
//
// Each begins with a head (magic, sequence, length, CRC-32C of the text; native byte order: it never leaves the machine), which
// is written last. A half whose head and text do not agree is as if it were not there.
class StateMemory {
 public:
  [[nodiscard]] static Result<StateMemory> create();
  // From the descriptors that somebody kept, in any order. EINVAL if these are no such memory; that no half holds a text is
  // no error.
  [[nodiscard]] static Result<StateMemory> adopt(std::array<UniqueFd, 2> halves);

  // ENOSPC, ENOMEM: what was written before is still there.
  [[nodiscard]] Outcome write(std::string_view text);
  // The newest whole text. ENODATA if there is none.
  [[nodiscard]] Result<std::string> read() const;

  [[nodiscard]] BorrowedFd half(std::size_t number) const { return halves_[number]; }

 private:
  explicit StateMemory(std::array<UniqueFd, 2> halves) : halves_(std::move(halves)) {}

  std::array<UniqueFd, 2> halves_;
  std::uint64_t sequence_ = 0;  // of the last text; its half is that number modulo 2
};

}  // namespace holdfast
