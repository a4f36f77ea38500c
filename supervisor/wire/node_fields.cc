#include "wire/node_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast {

std::optional<JsonFields> JsonFields::of(std::string_view message) {
  std::optional<std::vector<JsonMember>> members = scan_json(message);
  if (!members) return std::nullopt;
  return JsonFields(message, *std::move(members));
}

std::optional<std::string> JsonFields::itself() const {
  return message_.starts_with('"') ? json_string(message_) : std::nullopt;
}

std::optional<V8Fields> V8Fields::of(std::string_view message) {
  using Kind = V8Token::Kind;
  V8Fields fields;
  V8Reader reader(message);
  std::size_t depth = 0;
  for (;;) {
    const V8Token token = reader.next();
    if (token.kind == Kind::Malformed) return std::nullopt;
    if (token.kind == Kind::Unknown || token.kind == Kind::End) break;
    if (depth == 0) {
      fields.outermost_ = token.tag;
      if (token.kind == Kind::Scalar) fields.itself_ = v8_string(token.tag, token.bytes);
    }
    if (depth == 1 && token.is_key) {
      fields.members_.push_back({v8_string(token.tag, token.bytes).value_or(std::string()), token.end});
    } else if (depth > 0 && !fields.members_.empty()) {
      fields.members_.back().add(token, depth, message);
    }
    if (token.kind == Kind::Open) ++depth;
    if (token.kind == Kind::Close) --depth;
  }
  if (fields.outermost_ != 'o') fields.members_.clear();
  return fields;
}

void V8Fields::Member::add(const V8Token& token, std::size_t depth, std::string_view message) {
  if (depth == 1 && token.kind == V8Token::Kind::Close) return;  // the end of the object itself
  if (depth == 1 && token.kind == V8Token::Kind::Scalar) {
    tag = token.tag;
    bytes = token.bytes;
  }
  // Buffers too: how a view of one is written differs between versions.
  bound |= token.kind == V8Token::Kind::Scalar && (token.tag == '^' || token.tag == 'B' || token.tag == '~');
  value = message.substr(start, token.end - start);
}

// The last one of a name counts, as it does for V8.
const V8Fields::Member* V8Fields::find(std::string_view name) const {
  const auto found = std::find_if(members_.rbegin(), members_.rend(), [&](const Member& m) { return m.name == name; });
  const bool there = found != members_.rend() && found->tag != '_';  // undefined is as if it were not there
  return there ? &*found : nullptr;
}

std::optional<std::string> V8Fields::text(std::string_view name) const {
  const Member* const member = find(name);
  return member == nullptr ? std::nullopt : v8_string(member->tag, member->bytes);
}

std::optional<std::int64_t> V8Fields::integer(std::string_view name) const {
  const Member* const member = find(name);
  const std::optional<double> number = member == nullptr ? std::nullopt : v8_number(member->tag, member->bytes);
  constexpr double kMost = 9007199254740992.0;  // 2^53: what JavaScript holds exactly
  if (!number || std::trunc(*number) != *number || std::abs(*number) > kMost) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::optional<bool> V8Fields::boolean(std::string_view name) const {
  const Member* const member = find(name);
  return member == nullptr ? std::nullopt : v8_boolean(member->tag);
}

std::string_view V8Fields::raw(std::string_view name) const {
  const Member* const member = find(name);
  return member == nullptr || member->bound ? std::string_view() : member->value;
}

}  // namespace holdfast
