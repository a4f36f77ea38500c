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
  std::string key;      // what of it makes the client: "203.0.113.7/32", "2001:db8:1:2::/64"
  std::uint32_t hash = 0;
  unsigned bucket = 0;
  unsigned buckets = 0;  // how many there are
  std::string pool;
  std::optional<std::uint32_t> slot;      // serves the bucket now; nothing if no slot is available
  std::uint32_t home = 0;                 // the slot that the bucket belongs to
  std::vector<std::uint32_t> preference;  // slots in the order in which they would serve it; home first
};

[[nodiscard]] std::string to_json(const RouteAnswer& answer);
[[nodiscard]] Result<RouteAnswer> parse_route_answer(std::string_view json);

}  // namespace holdfast
