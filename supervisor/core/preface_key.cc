#include "core/preface_key.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "core/slot_tag.h"
#include "core/text.h"

namespace holdfast {
namespace {

using Where = TextKey::Where;

struct TextKeyName {
  std::string_view name;
  Where where;
};
constexpr TextKeyName kTextKeys[] = {{"header", Where::Header},
                                     {"cookie", Where::Cookie},
                                     {"query", Where::Query},
                                     {"path-segment", Where::PathSegment},
                                     {"sni", Where::ServerName}};

Error refuse(std::string_view text, std::string_view reason) {
  return Error{{}, "key '" + std::string(text) + "': " + std::string(reason)};
}

std::optional<unsigned> parse_number(std::string_view digits, unsigned most) {
  unsigned number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, number);
  if (code != std::errc{} || rest != end || number > most) return std::nullopt;
  return number;
}

// Takes what stands before the next comma that is in no bracket.
std::string_view take_item(std::string_view& rest) {
  int depth = 0;
  std::size_t end = 0;
  for (; end < rest.size() && (depth > 0 || rest[end] != ','); ++end) {
    if (rest[end] == '(' || rest[end] == '[') ++depth;
    if (rest[end] == ')' || rest[end] == ']') --depth;
  }
  const std::string_view item = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return trimmed(item);
}

// RFC 9110, 5.6.2: what names of fields and cookies are made of.
bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const auto fits = [&](char c) {
    const char lower = to_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits);
}

Result<PrefaceKey> parse_text_key(std::string_view text, Where where, std::string_view argument) {
  TextKey key{where, std::string(argument), 0};
  switch (where) {
    case Where::Header:
    case Where::Cookie:
      if (!is_token(argument)) return refuse(text, "in the parentheses stands no name; write for instance cookie(sid)");
      break;
    case Where::Query:
      if (argument.empty()) return refuse(text, "the parameter has no name; write for instance query(sid)");
      break;
    case Where::PathSegment: {
      constexpr unsigned kMostSegments = 1000;  // far more than any path has
      const std::optional<unsigned> number = parse_number(argument, kMostSegments);
      if (!number || *number == 0) return refuse(text, "segments count from 1; write for instance path-segment(1)");
      key = {where, "", *number};
      break;
    }
    case Where::ServerName:
      break;
  }
  return PrefaceKey{std::move(key)};
}

Result<PrefaceKey> parse_prefix(std::string_view text, std::string_view argument) {
  const std::optional<unsigned> v4 = parse_number(take_item(argument), 32);
  const std::optional<unsigned> v6 = parse_number(take_item(argument), 128);
  if (!v4 || !v6 || !argument.empty())
    return refuse(text, "it takes the bits for IPv4 and for IPv6; write for instance remote-prefix(24,56)");
  return PrefaceKey{RemotePrefixKey{{*v4, *v6}}};
}

Result<PrefaceKey> parse_forwarded_for(std::string_view text, std::string_view argument) {
  ForwardedForKey key;
  while (!argument.empty()) {
    std::string_view value = take_item(argument);
    const std::string_view word = trimmed(take_until(value, '='));
    value = trimmed(value);
    if (word == "field" && equal_ignoring_case(value, "Forwarded")) {
      key.field = ForwardedField::Forwarded;
    } else if (word == "field" && equal_ignoring_case(value, "X-Forwarded-For")) {
      key.field = ForwardedField::XForwardedFor;
    } else if (word == "field") {
      return refuse(text, "the field is X-Forwarded-For or Forwarded");
    } else if (word == "trusted" && value.size() >= 2 && value.front() == '[' && value.back() == ']') {
      for (std::string_view list = value.substr(1, value.size() - 2); !list.empty();) {
        const Result<Cidr> cidr = parse_cidr(take_item(list));
        if (!cidr) return refuse(text, cidr.error().message());
        key.trusted.push_back(*cidr);
      }
    } else {
      return refuse(text, "it takes trusted = [RANGE, ...] and field = NAME, not '" + std::string(word) + "'");
    }
  }
  if (key.trusted.empty()) {
    return refuse(text,
                  "without trusted proxies the field is what any client writes; write for instance "
                  "forwarded-for(trusted = [10.0.0.0/8])");
  }
  key.trusted_set = CidrSet(key.trusted);
  return PrefaceKey{std::move(key)};
}

Result<PrefaceKey> parse_tagged(std::string_view text, std::string_view argument) {
  Result<PrefaceKey> inner = parse_preface_key(argument);
  if (!inner) return std::move(inner).error();
  auto* const id = std::get_if<TextKey>(&*inner);
  if (id == nullptr || id->where == Where::ServerName)
    return refuse(text,
                  "a tag stands in a header, cookie, query or path-segment; write for instance tagged(query(sid))");
  return PrefaceKey{TaggedKey{std::move(*id)}};
}

std::optional<std::string> text_in(const TextKey& key, const PrefaceFacts& facts) {
  if (key.where == Where::ServerName) return std::string(facts.server_name);
  if (facts.request == nullptr) return std::nullopt;
  const HttpRequest& request = *facts.request;
  switch (key.where) {
    case Where::Header:
      return std::string(field_value(request, key.name).value_or(std::string_view{}));
    case Where::Cookie:
      return cookie(request, key.name);
    case Where::Query:
      return query_parameter(request.target, key.name);
    default:
      return path_segment(request.target, key.segment);
  }
}

// Each visit leaves in `found` what is present of its key, or nothing.
struct Find {
  const PrefaceFacts& facts;
  unsigned slots;
  FoundKey& found;

  void operator()(const ProxyAddressKey&) const { found.address = facts.proxy; }
  void operator()(const RemoteAddressKey&) const { found.address = facts.remote; }
  void operator()(const RemotePrefixKey& key) const {
    if (!facts.remote) return;
    found.prefix = key.prefix;
    found.address = masked(*facts.remote, facts.remote->is_v6() ? key.prefix.v6 : key.prefix.v4);
  }
  void operator()(const ForwardedForKey& key) const {
    if (facts.request == nullptr || !facts.remote) return;
    found.address = forwarded_for(*facts.request, key.field, key.trusted_set, *facts.remote);
  }
  void operator()(const TextKey& key) const { found.text = text_in(key, facts).value_or(""); }
  void operator()(const TaggedKey& key) const {
    const std::optional<SlotId> slot = slot_of_tag(text_in(key.id, facts).value_or(""));
    if (slot && slot->value < slots) found.slot = slot;
  }
};

struct ToText {
  std::string operator()(const ProxyAddressKey&) const { return "proxy-address"; }
  std::string operator()(const RemoteAddressKey&) const { return "remote-address"; }
  std::string operator()(const RemotePrefixKey& key) const {
    return "remote-prefix(" + std::to_string(key.prefix.v4) + "," + std::to_string(key.prefix.v6) + ")";
  }
  std::string operator()(const ForwardedForKey& key) const {
    std::string ranges;
    for (const Cidr& range : key.trusted) ranges += (ranges.empty() ? "" : ", ") + range.text();
    const char* const field = key.field == ForwardedField::Forwarded ? "field = Forwarded, " : "";
    return "forwarded-for(" + std::string(field) + "trusted = [" + ranges + "])";
  }
  std::string operator()(const TextKey& key) const {
    const auto* const known =
        std::find_if(std::begin(kTextKeys), std::end(kTextKeys), [&](auto& name) { return name.where == key.where; });
    if (key.where == Where::ServerName) return std::string(known->name);
    const std::string argument = key.where == Where::PathSegment ? std::to_string(key.segment) : key.name;
    return std::string(known->name) + "(" + argument + ")";
  }
  std::string operator()(const TaggedKey& key) const { return "tagged(" + (*this)(key.id) + ")"; }
};

}  // namespace

Result<PrefaceKey> parse_preface_key(std::string_view text) {
  text = trimmed(text);
  const std::size_t open = std::min(text.find('('), text.size());
  const std::string_view name = trimmed(text.substr(0, open));
  const bool has_argument = open < text.size();
  if (has_argument && text.back() != ')') return refuse(text, "the parenthesis is not closed");
  const std::string_view argument =
      has_argument ? trimmed(text.substr(open + 1, text.size() - open - 2)) : std::string_view{};
  const bool takes_argument = name != "proxy-address" && name != "remote-address" && name != "sni";
  if (has_argument && !takes_argument) return refuse(text, "it takes nothing in parentheses");

  if (name == "proxy-address") return PrefaceKey{ProxyAddressKey{}};
  if (name == "remote-address") return PrefaceKey{RemoteAddressKey{}};
  if (name == "remote-prefix") return parse_prefix(text, argument);
  if (name == "forwarded-for") return parse_forwarded_for(text, argument);
  if (name == "tagged") return parse_tagged(text, argument);
  for (const TextKeyName& known : kTextKeys) {
    if (name == known.name) return parse_text_key(text, known.where, argument);
  }
  return refuse(text,
                "there is no such key; there are proxy-address, remote-address, remote-prefix(24,56), header(NAME), "
                "forwarded-for(trusted = [...]), cookie(NAME), query(NAME), path-segment(N), sni and tagged(KEY)");
}

Result<std::vector<PrefaceKey>> parse_preface_keys(std::string_view text) {
  std::vector<PrefaceKey> keys;
  do {
    Result<PrefaceKey> key = parse_preface_key(take_item(text));
    if (!key) return std::move(key).error();
    if (std::find(keys.begin(), keys.end(), *key) != keys.end()) return refuse(to_text(*key), "it stands there twice");
    keys.push_back(*std::move(key));
  } while (!text.empty());
  return keys;
}

std::string to_text(const PrefaceKey& key) { return std::visit(ToText{}, key); }

bool needs_http(const PrefaceKey& key) {
  const auto* const text = std::get_if<TextKey>(&key);
  return (text != nullptr && text->where != Where::ServerName) || std::holds_alternative<TaggedKey>(key) ||
         std::holds_alternative<ForwardedForKey>(key);
}

bool needs_server_name(const PrefaceKey& key) {
  const auto* const text = std::get_if<TextKey>(&key);
  return text != nullptr && text->where == Where::ServerName;
}

PlacementKey FoundKey::placement_key(HashKey key) const {
  const std::uint32_t hash = address ? hash_address(*address, prefix, key) : hash_text(text, key);
  return {.hash = hash, .address = address, .text = text, .text_crc = {}, .held_by = {}};
}

std::optional<FoundKey> first_present(const std::vector<PrefaceKey>& keys, const PrefaceFacts& facts, KeyPrefix prefix,
                                      unsigned slots) {
  for (std::size_t index = 0; index < keys.size(); ++index) {
    FoundKey found{.index = index, .address = {}, .prefix = prefix, .text = {}, .slot = {}};
    std::visit(Find{facts, slots, found}, keys[index]);
    if (found.address || !found.text.empty() || found.slot) return found;
  }
  return std::nullopt;
}

}  // namespace holdfast
