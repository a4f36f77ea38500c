#include "config/toml_text.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace holdfast {

namespace {

Position position_of(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

// Only for what has no form of its own here: a fraction, a date, a time.
template <class Node>
std::string written(const Node& node) {
  std::ostringstream stream;
  stream << node;
  return stream.str();
}

Scalar scalar_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return {text->get(), Scalar::Form::String};
  if (const auto* number = node.as_integer()) return {std::to_string(number->get()), Scalar::Form::Number};
  if (const auto* truth = node.as_boolean()) return {truth->get() ? "true" : "false", Scalar::Form::Truth};
  if (const auto* fraction = node.as_floating_point()) return {written(*fraction), Scalar::Form::Other};
  if (const auto* date = node.as_date()) return {written(*date), Scalar::Form::Other};
  if (const auto* time = node.as_time()) return {written(*time), Scalar::Form::Other};
  if (const auto* both = node.as_date_time()) return {written(*both), Scalar::Form::Other};
  return {};
}

// toml++ nests at most 256 deep, and so do we.
TomlTable table_of(const toml::table& table);  // NOLINT(misc-no-recursion)

std::variant<Value, std::vector<TomlEntry>, Unfit> content_of(const toml::node& node) {  // NOLINT(misc-no-recursion)
  if (const auto* table = node.as_table()) return table_of(*table);
  const auto* array = node.as_array();
  if (array == nullptr) return Value(scalar_of(node));
  std::vector<Scalar> list;
  for (const toml::node& element : *array) {
    if (element.is_table()) return Unfit{"a list of tables"};
    if (element.is_array()) return Unfit{"a list in a list"};
    list.push_back(scalar_of(element));
  }
  return Value(std::move(list));
}

TomlTable table_of(const toml::table& table) {  // NOLINT(misc-no-recursion)
  TomlTable entries;
  for (const auto& [key, node] : table) {
    entries.push_back(
        {std::string(key.str()), position_of(key.source()), position_of(node.source()), content_of(node)});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const TomlEntry& a, const TomlEntry& b) { return a.key_at < b.key_at; });
  return entries;
}

// "Error while parsing key-value pair: expected value" -> "key-value pair: expected value".
std::string without_preamble(std::string_view description) {
  constexpr std::string_view kPreamble = "Error while parsing ";
  if (description.starts_with(kPreamble)) description.remove_prefix(kPreamble.size());
  return std::string(description);
}

}  // namespace

std::variant<TomlTable, TomlError> parse_toml(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (parsed) return table_of(parsed.table());
  const toml::parse_error& error = parsed.error();
  return TomlError{position_of(error.source()), without_preamble(error.description())};
}

}  // namespace holdfast
