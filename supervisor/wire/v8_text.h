#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

// A message in V8's serialization, for the log: like JSON, of what has no JSON its kind ("[Date]"), and about `limit`
// bytes of it at most.
[[nodiscard]] std::string v8_text(std::string_view message, std::size_t limit);

}  // namespace holdfast
