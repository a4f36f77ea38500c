#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ip_address.h"
#include "core/result.h"

namespace holdfast {

// A range of addresses that share their first bits: "10.0.0.0/8", "2001:db8::/32". A range of IPv4-mapped IPv6 addresses
// ("::ffff:10.0.0.0/104") is the IPv4 range, as a mapped address is the IPv4 address.
struct Cidr {
  IpAddress address;  // every bit beyond the prefix is zero
  unsigned bits = 0;  // 0 to 32 for IPv4, 0 to 128 for IPv6

  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] bool covers(const Cidr& other) const;  // every address of the other one is in this one
  [[nodiscard]] std::string text() const;              // "10.0.0.0/8", and "192.0.2.1" for a single address
  bool operator==(const Cidr&) const = default;
};

// The address with every bit beyond the first `bits` cleared; more bits than the family has keep it whole.
[[nodiscard]] IpAddress masked(const IpAddress& address, unsigned bits);

// "ADDRESS/BITS", or "ADDRESS" for a single one. Bits beyond the prefix are an error: "10.0.0.1/8" is more often a slip for
// "10.0.0.1/32" than for "10.0.0.0/8", and the two differ by sixteen million clients.
[[nodiscard]] Result<Cidr> parse_cidr(std::string_view text);

// One range a line; '#' begins a comment. The error names the first bad line and how many there are.
[[nodiscard]] Result<std::vector<Cidr>> parse_cidr_lines(std::string_view text);

// A set of ranges that answers which is the longest one that contains an address. It is laid out as sorted ranges that do not
// overlap, each with the range of the set that holds there: a lookup is one binary search, whatever lies inside what.
// 100,000 ranges take at most 1.6 MB (IPv4) or 4 MB (IPv6).
class CidrSet {
 public:
  CidrSet() = default;  // contains nothing
  explicit CidrSet(const std::vector<Cidr>& ranges);

  // Which of the ranges that the set was made of (its index there); of equal ones the last.
  [[nodiscard]] std::optional<std::uint32_t> longest_match(const IpAddress& address) const;
  [[nodiscard]] bool contains(const IpAddress& address) const { return longest_match(address).has_value(); }
  [[nodiscard]] std::size_t bytes() const;  // of memory

 private:
  using WideKey = std::array<std::uint64_t, 2>;  // an IPv6 address, the upper half first

  // From starts[i] up to starts[i + 1] the range owners[i] holds.
  template <class Key>
  struct Layout {
    std::vector<Key> starts;
    std::vector<std::uint32_t> owners;
  };

  Layout<std::uint32_t> v4_;
  Layout<WideKey> v6_;
};

}  // namespace holdfast
