#include "config/front_values.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/nearest.h"
#include "config/toml_text.h"
#include "core/text.h"

namespace holdfast {

namespace {

constexpr std::array<std::pair<std::string_view, Placement>, 7> kPlacements = {
    {{"rendezvous", Placement::Rendezvous},
     {"round-robin", Placement::RoundRobin},
     {"least-connections", Placement::LeastConnections},
     {"random-two", Placement::RandomTwo},
     {"crc32", Placement::Crc32},
     {"ip-hash", Placement::IpHash},
     {"source", Placement::Source}}};

// In the order of Limit.
constexpr std::array<std::string_view, 8> kLimits = {"allow",
                                                     "deny",
                                                     "ban-after",
                                                     "source-rate",
                                                     "source-connections",
                                                     "total-connections",
                                                     "max-connections",
                                                     "max-slot-connections"};
static_assert(kLimits.size() == static_cast<std::size_t>(kLastLimit) + 1);

constexpr std::string_view kProxyForms = "off, required or optional-from(10.0.0.0/8, ...)";
constexpr std::string_view kRouteForm = R"({ when = { websocket = true }, pool = "chat" })";

Error refuse(std::string text) { return Error{{}, std::move(text)}; }

// The table that a scalar's text stands for.
Result<TomlTable> table_of(const Scalar& scalar) {
  auto parsed = parse_toml("value = " + scalar.text);
  if (const auto* error = std::get_if<TomlError>(&parsed)) return refuse(error->text);
  auto* const table = std::get_if<TomlTable>(&std::get<TomlTable>(parsed).front().content);
  if (table == nullptr) return refuse(to_toml(scalar) + " is not a table");
  return std::move(*table);
}

Result<std::string> string_in(const TomlEntry& entry) {
  const auto* const value = std::get_if<Value>(&entry.content);
  const auto* const scalar = value == nullptr ? nullptr : std::get_if<Scalar>(value);
  if (scalar == nullptr || scalar->form != Scalar::Form::String)
    return refuse(entry.key + " is to be a string, for instance " + entry.key + " = \"chat\"");
  return scalar->text;
}

Result<bool> truth_in(const TomlEntry& entry) {
  const auto* const value = std::get_if<Value>(&entry.content);
  const auto* const scalar = value == nullptr ? nullptr : std::get_if<Scalar>(value);
  if (scalar == nullptr || scalar->form != Scalar::Form::Truth) return refuse(entry.key + " is to be true or false");
  return scalar->text == "true";
}

Result<std::vector<Cidr>> ranges_in(const TomlEntry& entry) {
  const auto* const value = std::get_if<Value>(&entry.content);
  const auto* const list = value == nullptr ? nullptr : std::get_if<std::vector<Scalar>>(value);
  if (list == nullptr) return refuse(entry.key + " is to be a list of ranges, for instance [\"10.0.0.0/8\"]");
  std::vector<Cidr> ranges;
  for (const Scalar& scalar : *list) {
    const Result<Cidr> range = parse_cidr(scalar.text);
    if (!range) return range.error();
    ranges.push_back(*range);
  }
  return ranges;
}

Error unknown_key(const std::string& key, std::string_view where, const std::vector<std::string>& known) {
  const std::string meant = nearest(key, known);
  return refuse("unknown key " + key_text(key) + " in " + std::string(where) +
                (meant.empty() ? "" : ", did you mean '" + meant + "'?"));
}

Result<ProxyPolicy> policy_of(const std::vector<Cidr>& senders) {
  if (senders.empty()) return refuse("the list of senders is empty: write off, or whose header is to be believed");
  return ProxyPolicy{ProxyPolicy::Mode::OptionalFrom, senders};
}

Result<ProxyPolicy> parse_optional_from(std::string_view list) {
  std::vector<Cidr> senders;
  while (!list.empty()) {
    const Result<Cidr> range = parse_cidr(trimmed(take_until(list, ',')));
    if (!range) return range.error();
    senders.push_back(*range);
  }
  return policy_of(senders);
}

Result<ProxyPolicy> parse_policy(const Scalar& scalar) {
  constexpr std::string_view kOptional = "optional-from(";
  const std::string_view text = scalar.text;
  if (text == "off") return ProxyPolicy{};
  if (text == "required") return ProxyPolicy{ProxyPolicy::Mode::Required};
  if (text.starts_with(kOptional) && text.ends_with(')'))
    return parse_optional_from(text.substr(kOptional.size(), text.size() - kOptional.size() - 1));
  if (!text.starts_with('{')) return refuse("'" + scalar.text + "' is not " + std::string(kProxyForms));
  const Result<TomlTable> table = table_of(scalar);
  if (!table) return table.error();
  if (table->size() != 1 || table->front().key != "optional-from")
    return refuse(scalar.text + R"( is not { optional-from = ["10.0.0.0/8", ...] })");
  const Result<std::vector<Cidr>> senders = ranges_in(table->front());
  if (!senders) return senders.error();
  return policy_of(*senders);
}

// "NAME", or "NAME: VALUE".
RouteCondition::Header header_of(std::string_view text) {
  RouteCondition::Header header;
  const bool has_value = text.find(':') != std::string_view::npos;
  header.name = std::string(trimmed(take_until(text, ':')));
  if (has_value) header.value = std::string(trimmed(text));
  return header;
}

Outcome read_condition_entry(const TomlEntry& entry, RouteCondition& when) {
  const auto take = [&](auto read, auto put) -> Outcome {
    auto result = read(entry);
    if (!result) return std::move(result).error();
    put(*std::move(result));
    return Done{};
  };
  const std::string& key = entry.key;
  if (key == "websocket") return take(truth_in, [&](bool is) { when.websocket = is; });
  if (key == "host") return take(string_in, [&](const std::string& text) { when.host = NamePattern(text); });
  if (key == "path-prefix") return take(string_in, [&](std::string text) { when.path_prefix = std::move(text); });
  if (key == "header") return take(string_in, [&](const std::string& text) { when.header = header_of(text); });
  if (key == "sni") return take(string_in, [&](const std::string& text) { when.server_name = NamePattern(text); });
  if (key == "alpn") return take(string_in, [&](std::string text) { when.alpn = std::move(text); });
  if (key == "source") return take(ranges_in, [&](std::vector<Cidr> list) { when.source = std::move(list); });
  return unknown_key(key, "when", {"websocket", "host", "path-prefix", "header", "sni", "alpn", "source"});
}

Outcome read_condition(const TomlEntry& entry, RouteCondition& when) {
  const auto* const table = std::get_if<TomlTable>(&entry.content);
  if (table == nullptr) return refuse("when is a table, for instance when = { websocket = true }");
  for (const TomlEntry& one : *table) {
    if (Outcome read = read_condition_entry(one, when); !read) return read;
  }
  return Done{};
}

Result<Route> parse_route(const Scalar& scalar) {
  if (scalar.form != Scalar::Form::Table && !scalar.text.starts_with('{'))
    return refuse(to_toml(scalar) + " is not a route: write for instance " + std::string(kRouteForm));
  const Result<TomlTable> table = table_of(scalar);
  if (!table) return table.error();
  Route route;
  bool has_end = false;
  for (const TomlEntry& entry : *table) {
    if (entry.key == "when") {
      if (const Outcome read = read_condition(entry, route.when); !read) return read.error();
      continue;
    }
    if (entry.key != "pool" && entry.key != "refuse")
      return unknown_key(entry.key, "a route", {"when", "pool", "refuse"});
    if (std::exchange(has_end, true)) return refuse("a route has a pool or refuse = true, and not both");
    if (entry.key == "pool") {
      Result<std::string> pool = string_in(entry);
      if (!pool) return pool.error();
      route.then = ToPool{*std::move(pool)};
    } else {
      const Result<bool> is = truth_in(entry);
      if (!is || !*is) return refuse("refuse is to be true; a connection that is not refused goes to a pool");
      route.then = ToRefusal{};
    }
  }
  if (!has_end) return refuse("a route without an end: write pool = \"NAME\", or refuse = true");
  return route;
}

// A list as one text: "a, b".
std::string text_of_list(const Value& value) {
  if (const auto* const scalar = std::get_if<Scalar>(&value)) return scalar->text;
  std::string text;
  for (const Scalar& element : std::get<std::vector<Scalar>>(value)) text += (text.empty() ? "" : ", ") + element.text;
  return text;
}

Result<Limit> limit_of(std::string_view text) {
  const auto found = std::find(kLimits.begin(), kLimits.end(), text);
  if (found != kLimits.end()) return static_cast<Limit>(found - kLimits.begin());
  const std::string meant = nearest(text, std::vector<std::string>(kLimits.begin(), kLimits.end()));
  std::string names;
  for (const std::string_view name : kLimits) names += (names.empty() ? "" : ", ") + std::string(name);
  return refuse("'" + std::string(text) + "' is none of the limits that can be tried" +
                (meant.empty() ? ": " + names : ", did you mean '" + meant + "'?"));
}

std::string list_text(const std::vector<Cidr>& ranges) {
  std::string text;
  for (const Cidr& range : ranges) text += (text.empty() ? "" : ", ") + quoted(range.text());
  return "[" + text + "]";
}

}  // namespace

Outcome read_value(const Value& value, ProxyPolicy& member) {
  const auto* const scalar = std::get_if<Scalar>(&value);
  if (scalar == nullptr) return refuse(to_toml(value) + " is not " + std::string(kProxyForms));
  Result<ProxyPolicy> policy = parse_policy(*scalar);
  if (!policy) return std::move(policy).error();
  member = *std::move(policy);
  return Done{};
}

Value value_of(const ProxyPolicy& member) {
  if (member.mode == ProxyPolicy::Mode::Off) return Scalar{"off"};
  if (member.mode == ProxyPolicy::Mode::Required) return Scalar{"required"};
  std::string text;
  for (const Cidr& sender : member.senders) text += (text.empty() ? "" : ", ") + sender.text();
  return Scalar{"optional-from(" + text + ")"};
}

Outcome read_value(const Value& value, std::vector<Route>& member) {
  const auto* const list = std::get_if<std::vector<Scalar>>(&value);
  if (list == nullptr)
    return refuse(to_toml(value) + " is no list of routes: write for instance [" + std::string(kRouteForm) + "]");
  std::vector<Route> routes;
  for (const Scalar& scalar : *list) {
    Result<Route> route = parse_route(scalar);
    if (!route) return std::move(route).error();
    routes.push_back(*std::move(route));
  }
  member = std::move(routes);
  return Done{};
}

Value value_of(const std::vector<Route>& member) {
  std::vector<Scalar> list;
  for (const Route& route : member) list.push_back({value_text(route), Scalar::Form::Table});
  return list;
}

std::string value_text(const Route& route) {
  std::string when;
  const auto add = [&](std::string_view key, const std::string& value) {
    when += (when.empty() ? " " : ", ") + std::string(key) + " = " + value;
  };
  const RouteCondition& condition = route.when;
  if (condition.websocket) add("websocket", *condition.websocket ? "true" : "false");
  if (condition.host) add("host", quoted(condition.host->text()));
  if (condition.path_prefix) add("path-prefix", quoted(*condition.path_prefix));
  if (condition.header) {
    const RouteCondition::Header& header = *condition.header;
    add("header", quoted(header.value ? header.name + ": " + *header.value : header.name));
  }
  if (condition.server_name) add("sni", quoted(condition.server_name->text()));
  if (condition.alpn) add("alpn", quoted(*condition.alpn));
  if (condition.source) add("source", list_text(*condition.source));
  const auto* const pool = std::get_if<ToPool>(&route.then);
  return "{ when = {" + when + (when.empty() ? "}, " : " }, ") +
         (pool == nullptr ? "refuse = true" : "pool = " + quoted(pool->pool)) + " }";
}

Outcome read_value(const Value& value, std::vector<PrefaceKey>& member) {
  const std::string text = text_of_list(value);
  Result<std::vector<PrefaceKey>> keys = parse_preface_keys(text);
  if (!keys) return refuse(quoted(text) + ": " + keys.error().message());
  member = *std::move(keys);
  return Done{};
}

Value value_of(const std::vector<PrefaceKey>& member) {
  std::vector<Scalar> list;
  for (const PrefaceKey& key : member) list.push_back(Scalar{to_text(key)});
  return list;
}

Outcome read_value(const Value& value, LimitSet& member) {
  const std::string text = text_of_list(value);
  const auto* const list = std::get_if<std::vector<Scalar>>(&value);
  const bool none = list != nullptr ? list->empty() : text == "none";
  LimitSet limits;
  for (std::string_view rest = text; !none;) {
    const Result<Limit> limit = limit_of(trimmed(take_until(rest, ',')));
    if (!limit) return refuse(quoted(text) + ": " + limit.error().message());
    limits |= *limit;
    if (rest.empty()) break;
  }
  member = limits;
  return Done{};
}

Value value_of(LimitSet member) {
  std::vector<Scalar> names;
  for (std::size_t i = 0; i < kLimits.size(); ++i) {
    if (member.contains(static_cast<Limit>(i))) names.push_back(Scalar{std::string(kLimits[i])});
  }
  return names;
}

std::string_view key_of(Limit limit) { return kLimits[static_cast<std::size_t>(limit)]; }

Outcome parse_value(std::string_view text, Enforcement& value) {
  if (text != "enforce" && text != "dry-run") return refuse("'" + std::string(text) + "' is not enforce or dry-run");
  value = text == "enforce" ? Enforcement::Refuse : Enforcement::DryRun;
  return Done{};
}

std::string value_text(Enforcement value) { return value == Enforcement::Refuse ? "enforce" : "dry-run"; }

Outcome parse_value(std::string_view text, AdmissionConfig::Form& value) {
  if (text != "reset" && text != "http") return refuse("'" + std::string(text) + "' is not reset or http");
  value = text == "reset" ? AdmissionConfig::Form::Reset : AdmissionConfig::Form::Http;
  return Done{};
}

std::string value_text(AdmissionConfig::Form value) { return value == AdmissionConfig::Form::Reset ? "reset" : "http"; }

Outcome parse_value(std::string_view text, Placement& value) {
  std::string names;
  for (const auto& [name, placement] : kPlacements) {
    if (name == text) {
      value = placement;
      return Done{};
    }
    names += (names.empty() ? "" : " or ") + std::string(name);
  }
  return refuse("'" + std::string(text) + "' is not " + names);
}

std::string value_text(Placement value) {
  for (const auto& [name, placement] : kPlacements) {
    if (placement == value) return std::string(name);
  }
  return {};
}

}  // namespace holdfast
