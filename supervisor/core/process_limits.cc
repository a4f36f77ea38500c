#include "core/process_limits.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace holdfast {

namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 15> kNames = {"as",    "core",    "cpu",      "data",       "fsize",
                                                     "locks", "memlock", "msgqueue", "nice",       "nofile",
                                                     "nproc", "rtprio",  "rttime",   "sigpending", "stack"};
constexpr unsigned kAllBits = 0777;

std::optional<ResourceLimit::Resource> resource_of(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ResourceLimit::Resource>(found - kNames.begin());
}

template <class Number>
std::optional<Number> number_of(std::string_view text, int base) {
  Number number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> bound_of(std::string_view text) {
  if (text == "unlimited") return ResourceLimit::kUnlimited;
  const auto number = number_of<std::uint64_t>(text, 10);
  return number == ResourceLimit::kUnlimited ? std::nullopt : number;
}

std::string text_of(std::uint64_t bound) {
  return bound == ResourceLimit::kUnlimited ? "unlimited" : std::to_string(bound);
}

Result<ResourceLimit> parse_limit(std::string_view item) {
  const auto wrong = [&](const std::string& why) { return Error{{}, "'" + std::string(item) + "' " + why}; };
  const std::size_t equals = item.find('=');
  if (equals == std::string_view::npos) return wrong("is no limit: write for instance nofile=65536");
  const std::optional<ResourceLimit::Resource> resource = resource_of(item.substr(0, equals));
  if (!resource) {
    std::string names;
    for (const std::string_view name : kNames) names += (names.empty() ? "" : ", ") + std::string(name);
    return wrong("names no resource: there are " + names);
  }
  const std::string_view bounds = item.substr(equals + 1);
  const std::size_t colon = bounds.find(':');
  const std::optional<std::uint64_t> soft = bound_of(bounds.substr(0, colon));
  const std::optional<std::uint64_t> hard = colon == std::string_view::npos ? soft : bound_of(bounds.substr(colon + 1));
  if (!soft || !hard) return wrong("is no limit: write NUMBER, unlimited, or SOFT:HARD");
  if (*soft > *hard) return wrong("has a soft limit above the hard one");
  return ResourceLimit{*resource, *soft, *hard};
}

}  // namespace

std::string_view to_text(ResourceLimit::Resource resource) { return kNames[static_cast<std::size_t>(resource)]; }

Result<ResourceLimits> parse_resource_limits(std::string_view text) {
  ResourceLimits limits;
  while (true) {
    const std::size_t comma = text.find(',');
    Result<ResourceLimit> limit = parse_limit(text.substr(0, comma));
    if (!limit) return std::move(limit).error();
    const auto is_same = [&](const ResourceLimit& other) { return other.resource == limit->resource; };
    if (std::any_of(limits.begin(), limits.end(), is_same)) {
      return Error{{}, "'" + std::string(to_text(limit->resource)) + "' is limited twice"};
    }
    limits.push_back(*limit);
    if (comma == std::string_view::npos) return limits;
    text.remove_prefix(comma + 1);
  }
}

std::string to_text(const ResourceLimits& limits) {
  std::string text;
  for (const ResourceLimit& limit : limits) {
    text += (text.empty() ? "" : ",") + std::string(to_text(limit.resource)) + "=" + text_of(limit.soft);
    if (limit.hard != limit.soft) text += ":" + text_of(limit.hard);
  }
  return text;
}

Result<FileMask> parse_file_mask(std::string_view text) {
  const std::optional<unsigned> bits = number_of<unsigned>(text, 8);
  if (bits && *bits <= kAllBits) return FileMask{bits};
  return Error{{}, "'" + std::string(text) + "' is no mask: write octal digits, for instance 0027"};
}

std::string to_text(FileMask mask) {
  std::string text;
  for (int shift = 9; mask.bits && shift >= 0; shift -= 3)
    text += static_cast<char>('0' + ((*mask.bits >> shift) & 7U));
  return text;
}

}  // namespace holdfast
