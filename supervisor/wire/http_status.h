#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "wire/peeked.h"

namespace holdfast {

// The first line of an answer in HTTP/1.0 or 1.1 (RFC 9112, 4).
struct HttpStatus {
  unsigned code = 0;   // 100 to 999
  std::string reason;  // "Service Unavailable"; may be empty; printable ASCII, cut after 64 bytes
};
struct NoHttpStatus {};  // what came is the beginning of something else

inline constexpr std::size_t kMaxStatusLine = 1024;

// Looks at the bytes that have come. A line of more than kMaxStatusLine bytes is none.
[[nodiscard]] std::variant<NeedMore, HttpStatus, NoHttpStatus> look_for_status(std::string_view bytes);
[[nodiscard]] std::string to_text(const HttpStatus& status);  // "503 Service Unavailable"

}  // namespace holdfast
