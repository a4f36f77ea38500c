#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/value.h"
#include "core/result.h"

namespace holdfast {

// The text forms of what is chosen for the front door: what stands between accepting a connection and placing it.

// "off", "required", "optional-from(10.0.0.0/8, 192.0.2.1)"; in a file also { optional-from = ["10.0.0.0/8"] }.
[[nodiscard]] Outcome read_value(const Value& value, ProxyPolicy& member);
[[nodiscard]] Value value_of(const ProxyPolicy& member);

// A list of tables: { when = { host = "ws.*", ... }, pool = "chat" } or { when = { ... }, refuse = true }. In `when`: websocket,
// host, path-prefix, header ("NAME" or "NAME: VALUE"), sni, alpn, source (a list of ranges).
[[nodiscard]] Outcome read_value(const Value& value, std::vector<Route>& member);
[[nodiscard]] Value value_of(const std::vector<Route>& member);
[[nodiscard]] std::string value_text(const Route& route);

// ["cookie(sid)", "remote-address"], or the same in one text; core/preface_key.h has the forms.
[[nodiscard]] Outcome read_value(const Value& value, std::vector<PrefaceKey>& member);
[[nodiscard]] Value value_of(const std::vector<PrefaceKey>& member);

// ["source-rate", "ban-after"], or "source-rate,ban-after"; "none".
[[nodiscard]] Outcome read_value(const Value& value, LimitSet& member);
[[nodiscard]] Value value_of(LimitSet member);
[[nodiscard]] std::string_view key_of(Limit limit);  // in the table of its listener or pool
// Behind a limit that is in force, where people are told: it is only tried.
inline constexpr std::string_view kOnlyCounted = ", only counted";

[[nodiscard]] Outcome parse_value(std::string_view text, Enforcement& value);  // "enforce", "dry-run"
[[nodiscard]] std::string value_text(Enforcement value);
[[nodiscard]] Outcome parse_value(std::string_view text, AdmissionConfig::Form& value);  // "reset", "http"
[[nodiscard]] std::string value_text(AdmissionConfig::Form value);
[[nodiscard]] Outcome parse_value(std::string_view text, Placement& value);
[[nodiscard]] std::string value_text(Placement value);

}  // namespace holdfast
