#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/bucket_table.h"
#include "core/ids.h"
#include "core/ip_address.h"
#include "core/time.h"

namespace holdfast {

// How a slot is chosen for a connection.
enum class Placement {
  // By key: the same key is given the same slot. They differ in what moves when a slot is down or added, and in whose
  // arithmetic they follow.
  Rendezvous,  // the bucket table: as little moves as must
  Crc32,       // abs(crc32(key)) mod N, as Pomelo's dispatcher does
  IpHash,      // nginx's ip_hash, exactly
  Source,  // the words of the address, combined by exclusive or, mod N: HAProxy's `balance source` with `hash-type map-based`
  // By load: no key.
  RoundRobin,
  LeastConnections,
  RandomTwo,  // the less loaded one of two that are drawn
};
[[nodiscard]] constexpr bool is_by_key(Placement placement) { return placement <= Placement::Source; }

// What a slot is like at the moment of the choice.
struct SlotLoad {
  bool available = false;    // it may be given connections
  unsigned connections = 0;  // open ones, and those on their way
  unsigned tenths = 10;      // of its weight, or by key of its keys: less while it starts slowly
};

// What a connection is placed by. Every member describes the same key.
struct PlacementKey {
  std::uint32_t hash = 0;                      // keyed: hash_address or hash_text
  std::optional<IpAddress> address;            // if the key is one
  std::string_view text;                       // if it is none; of an address, `address` is what counts
  std::optional<std::uint32_t> text_crc = {};  // of the text, where that is not at hand any more
  std::optional<SlotId> held_by;               // the slot where the key has open connections, if it has any
};

// Chooses the slot of one connection after the other.
//
// A slot is eligible if it is available, has a weight, and is not over the bound of load. The strategies by key ask their
// slots in the order in which they prefer them; the first that is eligible gets the connection.
//
// Weights are relative; a slot of weight 0 is never chosen. In Crc32 and Source they are divided by their greatest common divisor,
// so that equal weights, whatever they are, mean "mod number of slots".
//
// A slot that starts slowly takes so many tenths of its keys, beside the slot that takes most of its own; which ones, the key and the slot
// decide. So a key comes to its slot once, and stays. The others go where they would if the slot were not available.
//
// Balance factor (0: no bound): a slot may have this many percent of its share of the connections, and not
// more; above it, it passes new keys on to the next of their choices. Keys that have a connection stay with it. So one heavy key or a
// bad draw cannot overload a slot while others idle. Below 100 there might be no slot left, so that is the least.
class PlacementStrategy {
 public:
  // `weights`: one for each slot, each at most 65,535. `balance_factor`: 0, or 100 and more, in percent.
  PlacementStrategy(Placement placement, std::vector<std::uint32_t> weights, unsigned balance_factor = 0);

  // Nothing if no slot is available. `slots` has one entry for each weight. `random` is new for each choice: it breaks ties and draws.
  [[nodiscard]] std::optional<SlotId> choose(const PlacementKey& key, std::span<const SlotLoad> slots,
                                             std::uint32_t random);
  // For a connection without a key (a Unix client): the least loaded slot.
  [[nodiscard]] std::optional<SlotId> choose_without_key(std::span<const SlotLoad> slots, std::uint32_t random) const;

  [[nodiscard]] Placement placement() const { return placement_; }
  [[nodiscard]] const BucketTable& table() const { return table_; }

 private:
  // The slots of one choice, with the bound worked out.
  struct Round {
    std::span<const SlotLoad> slots;
    std::uint64_t connections = 0;   // of the available slots
    std::uint64_t total_weight = 0;  // of the same
    unsigned balance_factor = 0;
    unsigned least_tenths = ~0U;  // of the available slots
    unsigned most_tenths = 0;
    std::optional<std::uint32_t> key = {};  // of which slots that start slowly take a part
  };

  [[nodiscard]] std::uint64_t weight_of(const Round& round, unsigned slot) const;
  [[nodiscard]] Round round_of(std::span<const SlotLoad> slots) const;
  [[nodiscard]] bool is_eligible(const Round& round, unsigned slot) const;
  [[nodiscard]] std::uint32_t own_hash(const PlacementKey& key) const;
  [[nodiscard]] bool is_less_loaded(const Round& round, unsigned a, unsigned b) const;
  [[nodiscard]] unsigned slot_at(std::uint64_t point, std::uint32_t divisor) const;
  [[nodiscard]] std::optional<SlotId> from(unsigned slot, const Round& round) const;
  [[nodiscard]] std::optional<SlotId> by_key(const PlacementKey& key, const Round& round);
  [[nodiscard]] std::optional<SlotId> by_arithmetic(const PlacementKey& key, const Round& round);
  [[nodiscard]] std::optional<SlotId> rendezvous(const PlacementKey& key, const Round& round) const;
  [[nodiscard]] std::optional<SlotId> ip_hash(const PlacementKey& key, const Round& round);
  [[nodiscard]] std::optional<SlotId> round_robin(const Round& round);
  [[nodiscard]] std::optional<SlotId> least_loaded(const Round& round, std::uint32_t random) const;
  [[nodiscard]] std::optional<SlotId> random_two(const Round& round, std::uint32_t random) const;

  Placement placement_;
  std::vector<std::uint32_t> weights_;
  std::uint32_t divisor_;       // of all weights, the greatest common one
  std::uint64_t total_weight_;  // of all slots
  unsigned balance_factor_;
  BucketTable table_;                  // Rendezvous only
  std::vector<std::int64_t> credits_;  // round robin: what each slot is owed, in units of weight
};

// A slot whose worker has just begun to serve gets a growing part of its weight over the time `slow_start`: a tenth at
// first, then one more after each tenth of the time. For SlotLoad::tenths.
[[nodiscard]] unsigned tenths_in_slow_start(Duration serving_for, Duration slow_start);

}  // namespace holdfast
