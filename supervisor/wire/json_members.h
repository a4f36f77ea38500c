#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"

namespace holdfast {

// Our JSON keeps the order in which members are written: people read it too.
using Json = nlohmann::ordered_json;

// The value of JSON text, or a discarded value (`is_discarded`) for text that is not JSON, is not UTF-8, or nests
// deeper than kMaxJsonDepth. Never throws.
[[nodiscard]] Json parse_json(std::string_view text);
inline constexpr unsigned kMaxJsonDepth = 16;  // ours has five levels

// The text of a value, in one line. Bytes that are not UTF-8 (a path, an argument of a command) become U+FFFD.
[[nodiscard]] std::string json_text(const Json& value);

[[nodiscard]] double seconds(Duration duration);

// Reads the members of one object into variables. A member that is missing, or null, leaves its variable as it is; a
// member of the wrong type, or a number that its variable cannot hold, is remembered as the fault. The first fault
// stays.
class JsonMembers {
 public:
  JsonMembers(const Json& object, std::string& fault);

  void read(std::string_view name, std::string& into);
  void read(std::string_view name, bool& into);
  void read(std::string_view name, Duration& into);  // seconds with a fraction
  void read(std::string_view name, std::vector<std::string>& into);
  void read(std::string_view name, std::map<std::string, std::uint64_t>& into);
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) void read(std::string_view name, Number& into);
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) void read(std::string_view name, std::vector<Number>& into);
  template <class T>
  void read(std::string_view name, std::optional<T>& into);
  // Calls `read_one(JsonMembers&)` for each object of an array.
  template <class ReadOne>
  void each(std::string_view name, ReadOne read_one);

 private:
  [[nodiscard]] const Json* find(std::string_view name) const;  // nullptr if missing or null
  void fail(std::string_view name, std::string_view expected);
  template <std::integral Number>
  [[nodiscard]] static std::optional<Number> number(const Json& value);

  const Json& object_;
  std::string& fault_;
};

template <std::integral Number>
std::optional<Number> JsonMembers::number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto wide = value.get<std::uint64_t>();
    if (std::in_range<Number>(wide)) return static_cast<Number>(wide);
  } else if (value.is_number_integer()) {
    const auto wide = value.get<std::int64_t>();
    if (std::in_range<Number>(wide)) return static_cast<Number>(wide);
  }
  return std::nullopt;
}

template <std::integral Number>
requires(!std::same_as<Number, bool>) void JsonMembers::read(std::string_view name, Number& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  const std::optional<Number> held = number<Number>(*value);
  if (!held) return fail(name, "a whole number in range");
  into = *held;
}

template <std::integral Number>
requires(!std::same_as<Number, bool>) void JsonMembers::read(std::string_view name, std::vector<Number>& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(name, "an array of numbers");
  into.clear();
  for (const Json& item : *value) {
    const std::optional<Number> held = number<Number>(item);
    if (!held) return fail(name, "an array of numbers");
    into.push_back(*held);
  }
}

template <class T>
void JsonMembers::read(std::string_view name, std::optional<T>& into) {
  if (find(name) == nullptr) return;
  T value{};
  read(name, value);
  into = std::move(value);
}

template <class ReadOne>
void JsonMembers::each(std::string_view name, ReadOne read_one) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(name, "an array of objects");
  for (const Json& item : *value) {
    if (!item.is_object()) return fail(name, "an array of objects");
    JsonMembers members(item, fault_);
    read_one(members);
  }
}

}  // namespace holdfast
