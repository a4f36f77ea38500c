#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Memory that somebody has filled and sealed against every change: what one process passes another one may map.
[[nodiscard]] bool is_sealed_memory(BorrowedFd fd, std::size_t size);

// Such memory, as everybody shares it who has something to do with it. `size` without a descriptor: there was none left for it.
struct SharedMemory {
  std::shared_ptr<const UniqueFd> fd = {};
  std::uint32_t size = 0;  // bytes; 0: this is none
};

// It is made, filled piece by piece, and sealed. `name`: for whoever looks at /proc.
[[nodiscard]] Result<UniqueFd> make_memory(const char* name);
[[nodiscard]] Outcome append_to_memory(BorrowedFd memory, std::string_view bytes);
[[nodiscard]] Outcome seal_memory(BorrowedFd memory);

// `size` bytes from `offset` on, which must be there.
[[nodiscard]] Result<std::string> read_memory(BorrowedFd memory, std::size_t offset, std::size_t size);

}  // namespace holdfast
