#pragma once

#include <cstdint>

namespace holdfast {

// What may keep a client out, or hold him up: each is a key of a listener or of a pool.
enum class Limit {
  Allow,
  Deny,
  Ban,
  SourceRate,
  SourceConnections,
  TotalConnections,
  Connections,      // of a pool: max-connections
  SlotConnections,  // of a pool: max-slot-connections
};
inline constexpr Limit kLastLimit = Limit::SlotConnections;

// Some of them.
class LimitSet {
 public:
  constexpr LimitSet() = default;
  constexpr LimitSet(Limit limit) : bits_(bit(limit)) {}  // NOLINT: one limit is a set
  [[nodiscard]] static constexpr LimitSet all() {
    LimitSet set;
    set.bits_ = (bit(kLastLimit) << 1) - 1;
    return set;
  }

  [[nodiscard]] constexpr bool contains(Limit limit) const { return (bits_ & bit(limit)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  constexpr LimitSet& operator|=(LimitSet other) {
    bits_ |= other.bits_;
    return *this;
  }
  friend constexpr LimitSet operator|(LimitSet a, LimitSet b) { return a |= b; }
  friend constexpr LimitSet operator&(LimitSet a, LimitSet b) {
    a.bits_ &= b.bits_;
    return a;
  }
  bool operator==(const LimitSet&) const = default;

 private:
  [[nodiscard]] static constexpr std::uint32_t bit(Limit limit) { return 1U << static_cast<unsigned>(limit); }
  std::uint32_t bits_ = 0;
};

}  // namespace holdfast
