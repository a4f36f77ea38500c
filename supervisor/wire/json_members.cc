#include "wire/json_members.h"

#include <cmath>

namespace holdfast {

namespace {

// Whether the text nests deeper than we read. It is asked before the text is parsed, because a value of 30,000 levels
// costs a level of the stack each wherever it is walked.
bool nests_too_deep(std::string_view text) {
  unsigned depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(std::string_view text) {
  if (nests_too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

JsonMembers::JsonMembers(const Json& object, std::string& fault) : object_(object), fault_(fault) {
  if (!object_.is_object() && fault_.empty()) fault_ = "not a JSON object";
}

void JsonMembers::read(std::string_view name, std::string& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return fail(name, "a string");
  into = value->get_ref<const std::string&>();
}

void JsonMembers::read(std::string_view name, bool& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) return fail(name, "true or false");
  into = value->get<bool>();
}

void JsonMembers::read(std::string_view name, Duration& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  constexpr double kMost = 9e9;  // 285 years in seconds: what 64 bits of nanoseconds hold
  const double count = value->is_number() ? value->get<double>() : kMost;
  if (!(std::abs(count) < kMost)) return fail(name, "seconds");
  into = std::chrono::round<Duration>(std::chrono::duration<double>(count));
}

void JsonMembers::read(std::string_view name, std::vector<std::string>& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(name, "an array of strings");
  into.clear();
  for (const Json& item : *value) {
    if (!item.is_string()) return fail(name, "an array of strings");
    into.push_back(item.get_ref<const std::string&>());
  }
}

void JsonMembers::read(std::string_view name, std::map<std::string, std::uint64_t>& into) {
  const Json* const value = find(name);
  if (value == nullptr) return;
  if (!value->is_object()) return fail(name, "an object of numbers");
  into.clear();
  for (const auto& [key, item] : value->items()) {
    const std::optional<std::uint64_t> held = number<std::uint64_t>(item);
    if (!held) return fail(name, "an object of numbers");
    into[key] = *held;
  }
}

const Json* JsonMembers::find(std::string_view name) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(std::string(name));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void JsonMembers::fail(std::string_view name, std::string_view expected) {
  if (fault_.empty()) fault_ = std::string(name) + " is not " + std::string(expected);
}

}  // namespace holdfast
