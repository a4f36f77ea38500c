#include "core/routes.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/text.h"

namespace holdfast {
namespace {

// Greedy, with one place to come back to: the last '*'. Linear for what people write, and at worst the product of the lengths.
bool matches_wildcards(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::optional<std::size_t> star;
  std::size_t star_text = 0;  // where the last star's part of the text ends for now
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star) {
      p = *star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool http_holds(const RouteCondition& when, const HttpRequest& request) {
  if (when.websocket && *when.websocket != is_websocket(request)) return false;
  if (when.host && !when.host->matches(host_of(request).value_or(""))) return false;
  if (when.path_prefix && !percent_decoded(path_of(request.target)).starts_with(*when.path_prefix)) return false;
  if (!when.header) return true;
  const std::optional<std::string_view> value = field_value(request, when.header->name);
  return value && (!when.header->value || *value == *when.header->value);
}

bool holds(const RouteCondition& when, const CidrSet& source, const PrefaceFacts& facts) {
  if (when.source && (!facts.remote || !source.contains(*facts.remote))) return false;
  if (when.server_name && (facts.server_name.empty() || !when.server_name->matches(facts.server_name))) return false;
  if (when.alpn && std::find(facts.alpn.begin(), facts.alpn.end(), *when.alpn) == facts.alpn.end()) return false;
  return !when.needs_http() || (facts.request != nullptr && http_holds(when, *facts.request));
}

// Whether `wide` holds wherever `narrow` does, for one member of the condition: it does if it asks for nothing.
template <class Member, class Covers>
bool member_covers(const std::optional<Member>& wide, const std::optional<Member>& narrow, const Covers& covers) {
  return !wide || (narrow && covers(*wide, *narrow));
}

bool header_covers(const RouteCondition::Header& wide, const RouteCondition::Header& narrow) {
  return equal_ignoring_case(wide.name, narrow.name) && (!wide.value || wide.value == narrow.value);
}

bool source_covers(const std::vector<Cidr>& wide, const std::vector<Cidr>& narrow) {
  return std::all_of(narrow.begin(), narrow.end(), [&](const Cidr& range) {
    return std::any_of(wide.begin(), wide.end(), [&](const Cidr& wider) { return wider.covers(range); });
  });
}

bool covers(const RouteCondition& wide, const RouteCondition& narrow) {
  const auto by_member = [](const auto& a, const auto& b) { return a.covers(b); };
  const auto by_prefix = [](const std::string& a, const std::string& b) { return b.starts_with(a); };
  return member_covers(wide.websocket, narrow.websocket, std::equal_to<>()) &&
         member_covers(wide.host, narrow.host, by_member) &&
         member_covers(wide.path_prefix, narrow.path_prefix, by_prefix) &&
         member_covers(wide.header, narrow.header, header_covers) &&
         member_covers(wide.server_name, narrow.server_name, by_member) &&
         member_covers(wide.alpn, narrow.alpn, std::equal_to<>()) &&
         member_covers(wide.source, narrow.source, source_covers);
}

// The earlier route after which nothing is left for `index`.
std::optional<std::size_t> route_in_front(std::span<const Route> routes, std::size_t index) {
  for (std::size_t earlier = 0; earlier < index; ++earlier) {
    if (covers(routes[earlier].when, routes[index].when)) return earlier;
    // Together with its opposite it takes every HTTP request that the rest of its condition lets through.
    if (!routes[earlier].when.websocket || !routes[index].when.needs_http()) continue;
    RouteCondition either = routes[earlier].when;
    either.websocket = !*either.websocket;
    const auto is_opposite = [&](const Route& route) { return route.when.websocket && covers(route.when, either); };
    if (std::none_of(routes.begin(), routes.begin() + static_cast<std::ptrdiff_t>(index), is_opposite)) continue;
    either.websocket.reset();
    if (covers(either, routes[index].when)) return earlier;
  }
  return std::nullopt;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";  // RFC 9110, 5.6.2
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
  });
}

// What holds for almost nobody, and is a slip; empty: nothing.
std::string slip_in(const RouteCondition& when) {
  if (!when.path_prefix) return "";
  const std::string decoded = percent_decoded(*when.path_prefix);
  if (decoded == *when.path_prefix) return "";
  return "paths are decoded before they are compared: write its path-prefix as \"" + decoded + "\"";
}

// Why a condition can never hold; empty: it can.
std::string contradiction_in(const RouteCondition& when, TlsSource tls) {
  if (when.source && when.source->empty()) return "its list of sources is empty";
  if (when.host && when.host->text().find_first_of("/ ") != std::string::npos)
    return "no host has '/' or a space in its name; write for instance ws.* or *.example.com";
  if (when.host && !when.host->text().starts_with('[') && when.host->text().find(':') != std::string::npos)
    return "a host is compared without its port";
  const auto ends_in_dot = [](const std::optional<NamePattern>& name) { return name && name->text().ends_with('.'); };
  if (ends_in_dot(when.host) || ends_in_dot(when.server_name)) return "names are compared without a dot at their end";
  if (when.path_prefix && !when.path_prefix->starts_with('/')) return "every path begins with '/'";
  if (when.header && when.header->name.empty()) return "its header has no name";
  if (when.header && !is_token(when.header->name)) return "no header has such a name: '" + when.header->name + "'";
  if (when.header && when.header->value &&
      (when.header->value->empty() || trimmed(*when.header->value) != *when.header->value))
    return "no header has an empty value or one with blanks at its ends";
  if (when.alpn && when.alpn->empty()) return "no protocol of ALPN has an empty name";
  if (tls == TlsSource::Hello && when.needs_tls() && when.needs_http())
    return "a connection that begins with a TLS hello shows no HTTP head: what follows is encrypted";
  return "";
}

}  // namespace

NamePattern::NamePattern(std::string_view text) : text_(lower_case(text)) {}

bool NamePattern::matches(std::string_view name) const { return matches_wildcards(text_, name); }

// A star of the other one stands for any text; where one of ours takes it as it is written, it takes any other as well.
bool NamePattern::covers(const NamePattern& other) const { return matches_wildcards(text_, other.text_); }

Routes::Routes(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) sources_.emplace_back(route.when.source.value_or(std::vector<Cidr>()));
}

std::optional<std::size_t> Routes::match(const PrefaceFacts& facts) const {
  for (std::size_t index = 0; index < routes_.size(); ++index) {
    if (holds(routes_[index].when, sources_[index], facts)) return index;
  }
  return std::nullopt;
}

bool Routes::needs_http() const {
  return std::any_of(routes_.begin(), routes_.end(), [](const Route& route) { return route.when.needs_http(); });
}

bool Routes::needs_tls() const {
  return std::any_of(routes_.begin(), routes_.end(), [](const Route& route) { return route.when.needs_tls(); });
}

std::vector<RouteFault> faults_in(std::span<const Route> routes, std::span<const std::string> pools, TlsSource tls) {
  std::vector<RouteFault> faults;
  for (std::size_t index = 0; index < routes.size(); ++index) {
    const auto* const to_pool = std::get_if<ToPool>(&routes[index].then);
    if (to_pool != nullptr && std::find(pools.begin(), pools.end(), to_pool->pool) == pools.end())
      faults.push_back({index, "there is no pool '" + to_pool->pool + "'"});
    if (std::string reason = contradiction_in(routes[index].when, tls); !reason.empty()) {
      faults.push_back({index, "it can never hold: " + std::move(reason)});
    } else if (std::string slip = slip_in(routes[index].when); !slip.empty()) {
      faults.push_back({index, std::move(slip)});
    } else if (const std::optional<std::size_t> front = route_in_front(routes, index)) {
      faults.push_back({index, "it is never reached: route " + std::to_string(*front + 1) +
                                   " already takes every connection that it would take"});
    }
  }
  return faults;
}

}  // namespace holdfast
