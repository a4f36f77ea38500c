#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// The whole of a file. One that is longer than `limit` bytes is an error: who names a disk by mistake is to hear of it.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::size_t limit);

// Makes a file with this text, on the disk when it returns. A file that is there already is an error
// (std::errc::file_exists); after an error none is left behind that was not there.
[[nodiscard]] Outcome create_text_file(const std::string& path, std::string_view text);

}  // namespace holdfast
