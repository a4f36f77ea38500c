#include "config/value.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace holdfast {

namespace {

constexpr std::string_view kBareKeyLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

std::string scalar_toml(const Scalar& scalar) {
  return scalar.form == Scalar::Form::String ? quoted(scalar.text) : scalar.text;
}

std::string joined(const std::vector<Scalar>& list, std::string_view separator,
                   std::string (*text)(const Scalar& scalar)) {
  std::string all;
  for (const Scalar& scalar : list) {
    if (!all.empty()) all += separator;
    all += text(scalar);
  }
  return all;
}

// A process sees a text only up to its first zero byte.
bool has_zero(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Outcome check_string(const Scalar& scalar) {
  if (scalar.form != Scalar::Form::String) {
    return Error{{}, scalar.text + " is not a string: write " + quoted(scalar.text)};
  }
  if (has_zero(scalar.text)) return Error{{}, quoted(scalar.text) + " has a zero byte, and cannot be handed on"};
  return Done{};
}

// What a shell would make of a plain line of words.
std::string list_of_words(const std::string& line) {
  std::vector<Scalar> words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(Scalar{word});
  return to_toml(words);
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += std::string("\\") + c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += std::string("\\u00") + kDigits[byte >> 4] + kDigits[byte & 15];
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string key_text(std::string_view key) {
  const bool bare = !key.empty() && key.find_first_not_of(kBareKeyLetters) == std::string_view::npos;
  return bare ? std::string(key) : quoted(key);
}

std::string to_toml(const Value& value) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) return scalar_toml(*scalar);
  return "[" + joined(std::get<std::vector<Scalar>>(value), ", ", scalar_toml) + "]";
}

std::string to_plain(const Value& value) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) return scalar->text;
  const auto& list = std::get<std::vector<Scalar>>(value);
  return list.empty() ? "none" : joined(list, ",", [](const Scalar& scalar) { return scalar.text; });
}

Outcome read_value(const Value& value, std::string& member) {
  const auto* scalar = std::get_if<Scalar>(&value);
  if (scalar == nullptr) return Error{{}, to_toml(value) + " is a list, and one string is wanted"};
  if (const Outcome fit = check_string(*scalar); !fit) return fit;
  member = scalar->text;
  return Done{};
}

Outcome read_value(const Value& value, std::vector<int>& member) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) return parse_value(scalar->text, member);
  std::vector<int> numbers;
  for (const Scalar& scalar : std::get<std::vector<Scalar>>(value)) {
    if (const Outcome parsed = parse_value(scalar.text, numbers.emplace_back()); !parsed) return parsed;
  }
  member = std::move(numbers);
  return Done{};
}

Outcome read_value(const Value& value, std::vector<std::string>& member) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) {
    return Error{{}, scalar_toml(*scalar) + " is not a list: write " + list_of_words(scalar->text)};
  }
  std::vector<std::string> words;
  for (const Scalar& scalar : std::get<std::vector<Scalar>>(value)) {
    if (const Outcome fit = check_string(scalar); !fit) return fit;
    words.push_back(scalar.text);
  }
  if (words.empty() || words.front().empty()) {
    return Error{{}, R"(the list is to begin with a program, for instance ["./server", "--verbose"])"};
  }
  member = std::move(words);
  return Done{};
}

Value value_of(const std::vector<int>& member) {
  std::vector<Scalar> list;
  for (const int number : member) list.push_back(Scalar{value_text(number), Scalar::Form::Number});
  return list;
}

Value value_of(const std::vector<std::string>& member) {
  std::vector<Scalar> list;
  for (const std::string& text : member) list.push_back(Scalar{text});
  return list;
}

Outcome read_variable(const std::string& name, const Value& value, std::map<std::string, std::string>& variables) {
  constexpr std::array<std::string_view, 4> kOurs = {"HOLDFAST_", "LISTEN_", "NOTIFY_", "WATCHDOG_"};
  if (name.empty() || name.find('=') != std::string::npos || has_zero(name)) {
    return Error{{}, quoted(name) + " cannot be the name of a variable"};
  }
  if (std::any_of(kOurs.begin(), kOurs.end(), [&](std::string_view prefix) { return name.starts_with(prefix); })) {
    return Error{{}, "variables whose names begin so are the supervisor's to give"};
  }
  const auto* scalar = std::get_if<Scalar>(&value);
  if (scalar == nullptr) return Error{{}, to_toml(value) + " is a list, and one string is wanted"};
  // 8080 and true mean their text to everybody; of 1.50 or a date the text as it was written is not known any more.
  if (scalar->form == Scalar::Form::Other || scalar->form == Scalar::Form::String) {
    if (const Outcome fit = check_string(*scalar); !fit) return fit;
  }
  variables[name] = scalar->text;
  return Done{};
}

}  // namespace holdfast
