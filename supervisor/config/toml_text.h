#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/origin.h"
#include "config/value.h"

namespace holdfast {

// A text of TOML as our own values: toml++ and its long compile time stay behind this.

// A value that no key of ours can have: a list in a list.
struct Unfit {
  std::string what;
};

struct TomlEntry {
  std::string key;
  Position key_at;
  Position value_at;
  std::variant<Value, std::vector<TomlEntry>, Unfit> content;  // a vector: a table, in the order of the text
  std::vector<Position> elements_at = {};                      // of a list
};
using TomlTable = std::vector<TomlEntry>;

struct TomlError {
  Position at;
  std::string text;
};

// The parser stops at the first error of syntax; a name that is given twice is one.
[[nodiscard]] std::variant<TomlTable, TomlError> parse_toml(std::string_view text);

// On one line: `{ when = { websocket = true }, pool = "chat" }`.
[[nodiscard]] std::string inline_text(const TomlTable& table);

}  // namespace holdfast
