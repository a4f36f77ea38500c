#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace holdfast {

// Where a client goes and why: the answer to `route ADDRESS`. Every step of the decision is told, so that it can be
// followed by hand.
struct RouteAnswer {
  std::string address;  // as it was asked
  std::string key;      // what it is placed by: "203.0.113.7/32", "2001:db8:1:2::/64", the text of a cookie
  std::uint32_t hash = 0;
  unsigned bucket = 0;
  unsigned buckets = 0;  // how many there are
  std::string pool;
  std::optional<std::uint32_t> slot;      // serves it now; nothing if no slot is available
  std::uint32_t home = 0;                 // the slot that serves it if all are available
  std::vector<std::uint32_t> preference;  // slots in the order in which they would serve it; home first
  // What has decided: "bucket" (hash and bucket lead to the slot), "key" (the strategy's own arithmetic), "tag" (a slot in a session
  // id), or "load" (nothing of the client: then `slot` is what the next one would get, and there is no home).
  std::string decided_by = "bucket";
  std::string placement = "rendezvous";
  std::string key_name = "remote-address";  // of the pool's keys the one that is present
  std::string listener = {};                // whose front door it was led through; empty: none, the pool was asked
  std::string address_from = {};            // "connection", or "proxy-header"
  std::string route = {};                // of the listener's routes the one that holds: "1: host = ws.*"; empty: none
  std::uint32_t routes = 0;              // that the listener has
  std::string missing = {};              // why the first bytes do not tell what was asked of them; empty: they do
  std::string refused = {};              // why it would be refused, as `status` counts it; empty: it would not be
  std::vector<std::string> limits = {};  // of the listener and pool that are in force: "source-rate = 10 in 1s"
  std::uint32_t weight = 1;              // of the slot
  std::optional<std::int64_t> holder = {};  // the process in it
};

[[nodiscard]] std::string to_json(const RouteAnswer& answer);
[[nodiscard]] Result<RouteAnswer> parse_route_answer(std::string_view json);

}  // namespace holdfast
