#pragma once

#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "config/values.h"
#include "core/result.h"

namespace holdfast {

// A value as somebody has written it down, before it is known what it is for. The command line and the environment know
// only strings; a file also has bare words (numbers, true, dates), lists and tables. A string is taken wherever a bare word is.
struct Scalar {
  enum class Form { String, Number, Truth, Other, Table };  // of a table `text` is TOML, on one line: "{ a = 1 }"
  std::string text;
  Form form = Form::String;
  bool operator==(const Scalar&) const = default;
};
using Value = std::variant<Scalar, std::vector<Scalar>>;

// As a file has it: `"30s"`, `4`, `["./server", "-v"]`.
[[nodiscard]] std::string to_toml(const Value& value);
// As the command line has it: `30s`, `4`, `2,78`; an empty list is `none`.
[[nodiscard]] std::string to_plain(const Value& value);
// A text in quotes, with everything escaped that is not to be seen as it is.
[[nodiscard]] std::string quoted(std::string_view text);
// A key of a file: in quotes only where it needs them.
[[nodiscard]] std::string key_text(std::string_view key);

// Reads a value for a member, by the member's type. An error says what is wrong and what would be right; the member is
// then unchanged.
[[nodiscard]] Outcome read_value(const Value& value, std::string& member);  // nothing but a string
[[nodiscard]] Outcome read_value(const Value& value, std::vector<int>& member);
[[nodiscard]] Outcome read_value(const Value& value, std::vector<std::string>& member);  // a command: a list of strings
template <class T>
[[nodiscard]] Outcome read_value(const Value& value, T& member) {
  const auto* scalar = std::get_if<Scalar>(&value);
  if (scalar == nullptr) return Error{{}, to_toml(value) + " is a list, and one value is wanted"};
  return parse_value(scalar->text, member);
}

[[nodiscard]] Value value_of(const std::vector<int>& member);
[[nodiscard]] Value value_of(const std::vector<std::string>& member);
template <class T>
[[nodiscard]] Value value_of(const T& member) {
  return Scalar{value_text(member), std::is_arithmetic_v<T> ? Scalar::Form::Number : Scalar::Form::String};
}

// One variable of a worker's environment. Names that are the supervisor's own to give are refused.
[[nodiscard]] Outcome read_variable(const std::string& name, const Value& value,
                                    std::map<std::string, std::string>& variables);

}  // namespace holdfast
