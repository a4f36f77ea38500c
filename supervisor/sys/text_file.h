#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// The whole of a file. One that is longer than `limit` bytes is an error: who names a disk by mistake is to hear of it.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::size_t limit);

// What changes when a file is written or replaced, or is given other permissions.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
[[nodiscard]] FileStamp stamp_of(const std::string& path);  // zeros: there is none

// Makes a file with this text, on the disk when it returns. A file that is there already is an error
// (std::errc::file_exists); after an error none is left behind that was not there.
[[nodiscard]] Outcome create_text_file(const std::string& path, std::string_view text);

}  // namespace holdfast
