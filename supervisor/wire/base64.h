#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// RFC 4648, 4, with padding: bytes of any kind within JSON.
[[nodiscard]] std::string to_base64(std::string_view bytes);
// Nothing: that is no base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace holdfast
