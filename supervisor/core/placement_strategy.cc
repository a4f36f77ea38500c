#include "core/placement_strategy.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>

#include "core/checksum.h"
#include "core/placement_key.h"

namespace holdfast {
namespace {

// Of a key that is no address.
std::uint32_t text_crc_of(const PlacementKey& key) { return key.text_crc ? *key.text_crc : crc32(key.text); }

// |crc32| of the number that JavaScript has: the version of `crc` that Pomelo uses gives a signed one.
std::uint32_t pomelo_hash(const PlacementKey& key) {
  const std::uint32_t crc = key.address ? crc32(key.address->text()) : text_crc_of(key);
  return crc >> 31 != 0 ? ~crc + 1 : crc;
}

std::uint32_t source_hash(const PlacementKey& key) {
  if (!key.address) return key.hash;
  const IpAddress& address = *key.address;
  return address.word(0) ^ address.word(1) ^ address.word(2) ^ address.word(3);
}

// One round of nginx's arithmetic over what it calls the address: three bytes of IPv4 (so a /24 is one client), all of IPv6. A
// key that is no address, which nginx does not have, goes through it as the four bytes of its CRC: where a connection is placed
// anew no more of the text is at hand.
std::uint32_t ip_hash_round(std::uint32_t hash, const PlacementKey& key) {
  const auto add = [&hash](std::uint8_t byte) { hash = (hash * 113 + byte) % 6271; };
  if (!key.address) {
    for (unsigned shift = 32; shift > 0; shift -= 8) add(static_cast<std::uint8_t>(text_crc_of(key) >> (shift - 8)));
    return hash;
  }
  const std::array<std::uint8_t, 16> bytes = key.address->bytes();
  const std::span<const std::uint8_t> all = bytes;
  for (const std::uint8_t byte : key.address->is_v6() ? all : all.subspan(12, 3)) add(byte);
  return hash;
}

constexpr std::uint32_t kIpHashStart = 89;

// Whether a slot that takes `tenths` of its keys, where another one takes `most`, takes this one.
bool takes(unsigned slot, std::uint32_t key, unsigned tenths, unsigned most) {
  const std::uint64_t point = mix(key ^ mix(slot + 1));
  return tenths >= most || point * most >> 32 < tenths;
}

}  // namespace

PlacementStrategy::PlacementStrategy(Placement placement, std::vector<std::uint32_t> weights, unsigned balance_factor)
    : placement_(placement),
      weights_(std::move(weights)),
      divisor_(std::accumulate(weights_.begin(), weights_.end(), std::uint32_t{0},
                               [](std::uint32_t a, std::uint32_t b) { return std::gcd(a, b); })),
      total_weight_(std::accumulate(weights_.begin(), weights_.end(), std::uint64_t{0})),
      balance_factor_(balance_factor),
      table_(placement == Placement::Rendezvous ? BucketTable(weights_) : BucketTable()),
      credits_(weights_.size()) {}

std::optional<SlotId> PlacementStrategy::choose(const PlacementKey& key, std::span<const SlotLoad> slots,
                                                std::uint32_t random) {
  const Round round = round_of(slots);
  if (round.total_weight == 0) return std::nullopt;
  switch (placement_) {
    case Placement::RoundRobin:
      return round_robin(round);
    case Placement::LeastConnections:
      return least_loaded(round, random);
    case Placement::RandomTwo:
      return random_two(round, random);
    default:
      return by_key(key, round);
  }
}

std::optional<SlotId> PlacementStrategy::choose_without_key(std::span<const SlotLoad> slots,
                                                            std::uint32_t random) const {
  return least_loaded(round_of(slots), random);
}

PlacementStrategy::Round PlacementStrategy::round_of(std::span<const SlotLoad> slots) const {
  Round round{slots, 0, 0, is_by_key(placement_) ? balance_factor_ : 0};
  for (unsigned slot = 0; slot < slots.size(); ++slot) {
    if (!slots[slot].available || weights_[slot] == 0) continue;
    round.connections += slots[slot].connections;
    round.least_tenths = std::min(round.least_tenths, slots[slot].tenths);
    round.most_tenths = std::max(round.most_tenths, slots[slot].tenths);
    round.total_weight += weight_of(round, slot);
  }
  return round;
}

std::uint64_t PlacementStrategy::weight_of(const Round& round, unsigned slot) const {
  return std::uint64_t{weights_[slot]} * (is_by_key(placement_) ? 10 : round.slots[slot].tenths);
}

bool PlacementStrategy::is_eligible(const Round& round, unsigned slot) const {
  if (!round.slots[slot].available || weights_[slot] == 0) return false;
  if (round.key && !takes(slot, *round.key, round.slots[slot].tenths, round.most_tenths)) return false;
  if (round.balance_factor == 0) return true;
  // The share counts the connection that is to be placed, and is rounded up: so one slot at least is always within it.
  const std::uint64_t whole = (round.connections + 1) * weight_of(round, slot) * round.balance_factor;
  const std::uint64_t share = (whole + round.total_weight * 100 - 1) / (round.total_weight * 100);
  return round.slots[slot].connections < share;
}

// Of two slots the one that would have less for each unit of weight, with the connection that is to be placed.
bool PlacementStrategy::is_less_loaded(const Round& round, unsigned a, unsigned b) const {
  const auto load = [&](unsigned slot) { return std::uint64_t{round.slots[slot].connections} + 1; };
  return load(a) * weight_of(round, b) < load(b) * weight_of(round, a);
}

// The slot in whose stretch a point lies if the slots' weights are laid end to end.
unsigned PlacementStrategy::slot_at(std::uint64_t point, std::uint32_t divisor) const {
  unsigned slot = 0;
  for (; point >= weights_[slot] / divisor; ++slot) point -= weights_[slot] / divisor;
  return slot;
}

// The first eligible slot from `slot` on, around the end.
std::optional<SlotId> PlacementStrategy::from(unsigned slot, const Round& round) const {
  const auto count = static_cast<unsigned>(round.slots.size());
  for (unsigned step = 0; step < count; ++step) {
    if (is_eligible(round, (slot + step) % count)) return SlotId((slot + step) % count);
  }
  return std::nullopt;
}

std::optional<SlotId> PlacementStrategy::by_key(const PlacementKey& key, const Round& round) {
  const bool bounded = round.balance_factor != 0;
  if (bounded && key.held_by && key.held_by->value < round.slots.size() && round.slots[key.held_by->value].available)
    return key.held_by;
  if (round.least_tenths == round.most_tenths) return by_arithmetic(key, round);
  Round part = round;
  part.key = own_hash(key);
  const std::optional<SlotId> slot = by_arithmetic(key, part);
  return slot ? slot : by_arithmetic(key, round);
}

// What the strategy itself knows a key by: keys that are one to it come to a slot together.
std::uint32_t PlacementStrategy::own_hash(const PlacementKey& key) const {
  switch (placement_) {
    case Placement::IpHash:
      return ip_hash_round(kIpHashStart, key);
    case Placement::Crc32:
      return pomelo_hash(key);
    case Placement::Source:
      return source_hash(key);
    default:
      return key.hash;
  }
}

std::optional<SlotId> PlacementStrategy::by_arithmetic(const PlacementKey& key, const Round& round) {
  switch (placement_) {
    case Placement::IpHash:
      return ip_hash(key, round);
    case Placement::Crc32:
      return from(slot_at(pomelo_hash(key) % (total_weight_ / divisor_), divisor_), round);
    case Placement::Source:
      return from(slot_at(source_hash(key) % (total_weight_ / divisor_), divisor_), round);
    default:
      return rendezvous(key, round);
  }
}

std::optional<SlotId> PlacementStrategy::rendezvous(const PlacementKey& key, const Round& round) const {
  const unsigned bucket = bucket_of(key.hash);
  if (const SlotId home = table_.home(bucket); is_eligible(round, home.value)) return home;
  for (const SlotId slot : table_.preference(bucket)) {
    if (is_eligible(round, slot.value)) return slot;
  }
  return std::nullopt;
}

// nginx walks on by hashing the address once more, and after twenty such steps it gives up and asks its round robin.
std::optional<SlotId> PlacementStrategy::ip_hash(const PlacementKey& key, const Round& round) {
  constexpr int kTries = 21;
  std::uint32_t hash = kIpHashStart;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    hash = ip_hash_round(hash, key);
    const unsigned slot = slot_at(hash % total_weight_, 1);
    if (is_eligible(round, slot)) return SlotId(slot);
  }
  return round_robin(round);
}

// As nginx and HAProxy do it: in each turn every slot is credited its weight, and the one with most pays for all. The
// turns of a slot are spread evenly.
std::optional<SlotId> PlacementStrategy::round_robin(const Round& round) {
  std::optional<unsigned> best;
  std::int64_t total = 0;
  for (unsigned slot = 0; slot < round.slots.size(); ++slot) {
    if (!is_eligible(round, slot)) continue;
    const auto weight = static_cast<std::int64_t>(weight_of(round, slot));
    credits_[slot] += weight;
    total += weight;
    if (!best || credits_[slot] > credits_[*best]) best = slot;
  }
  if (!best) return std::nullopt;
  credits_[*best] -= total;
  return SlotId(*best);
}

// The search begins at a random slot, so that equal ones take turns.
std::optional<SlotId> PlacementStrategy::least_loaded(const Round& round, std::uint32_t random) const {
  const auto count = static_cast<unsigned>(round.slots.size());
  std::optional<unsigned> best;
  for (unsigned step = 0; step < count; ++step) {
    const auto slot = static_cast<unsigned>((std::uint64_t{random} + step) % count);
    if (!round.slots[slot].available || weights_[slot] == 0) continue;
    if (!best || is_less_loaded(round, slot, *best)) best = slot;
  }
  return best ? std::optional(SlotId(*best)) : std::nullopt;
}

std::optional<SlotId> PlacementStrategy::random_two(const Round& round, std::uint32_t random) const {
  // By weight, among the eligible slots without `other`; nothing if that is the only one.
  const auto draw = [&](std::uint32_t drawn, std::optional<unsigned> other) -> std::optional<unsigned> {
    const std::uint64_t total = round.total_weight - (other ? weight_of(round, *other) : 0);
    if (total == 0) return std::nullopt;
    std::uint64_t point = std::uint64_t{drawn} * total >> 32;
    unsigned slot = 0;
    for (;; ++slot) {
      if (slot == other || !is_eligible(round, slot)) continue;
      if (point < weight_of(round, slot)) break;
      point -= weight_of(round, slot);
    }
    return slot;
  };
  const unsigned one = *draw(mix(random), std::nullopt);
  const std::optional<unsigned> two = draw(mix(~random), one);
  return SlotId(two && is_less_loaded(round, *two, one) ? *two : one);
}

unsigned tenths_in_slow_start(Duration serving_for, Duration slow_start) {
  constexpr int kSteps = 10;
  if (serving_for >= slow_start) return kSteps;
  return static_cast<unsigned>(serving_for / (slow_start / kSteps + Duration(1)) + 1);
}

}  // namespace holdfast
