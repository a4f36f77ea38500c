#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Reads JSON where it stands, without building its value: for messages that are mostly passed on as they are, nest as
// deeply as a program likes, and hold strings that only JavaScript takes for text (half of a surrogate pair).

struct JsonMember {
  std::string_view name;   // between its quotes, escapes and all
  std::string_view value;  // its text
};
// The members of an object in their order, none for a value that is no object; nothing for what is not exactly one JSON
// value. It accepts nothing that JSON.parse does not. Bytes of 0x80 and more count as characters, whatever they are.
[[nodiscard]] std::optional<std::vector<JsonMember>> scan_json(std::string_view text);

// The last member of that name, as JSON.parse has it; empty if there is none.
[[nodiscard]] std::string_view member(const std::vector<JsonMember>& members, std::string_view name);

// What the text of a value says, if it is of that kind.
[[nodiscard]] std::optional<std::string> json_string(std::string_view value);
[[nodiscard]] std::optional<std::int64_t> json_integer(std::string_view value);
[[nodiscard]] std::optional<bool> json_boolean(std::string_view value);

}  // namespace holdfast
