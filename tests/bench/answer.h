#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <variant>

namespace holdfast {

// What has been read of one HTTP/1.1 answer so far. Only what the load needs is understood: the status, Content-Length,
// and in the body the number at "slot". An answer with no Content-Length (chunked, or ended by a close) is Malformed.
struct Incomplete {};
struct Malformed {};
struct Answer {
  int status = 0;
  std::size_t size = 0;          // head and body
  std::optional<unsigned> slot;  // which worker answered, if it said so
};

[[nodiscard]] std::variant<Incomplete, Malformed, Answer> read_answer(std::string_view bytes);

}  // namespace holdfast
