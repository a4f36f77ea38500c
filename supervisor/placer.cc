#include "placer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/checksum.h"

namespace holdfast {

namespace {

// What the supervisor's own words in a record mean.
enum class KeyKind : std::uint32_t {
  Remote = 0,  // the remote address
  Text =
      1,  // the upper word is the CRC of the text; for other IPv6 addresses than the remote one there is no more room
  Address = 2,  // another IPv4 address than the remote one: the upper word
  Slot = 3,     // the upper word is the slot
};
constexpr unsigned kKindShift = 8;  // in the flags, above those that are for the worker
constexpr std::uint32_t kKindMask = 3U << kKindShift;

KeyKind kind_of(const ConnectionRecord& record) {
  return static_cast<KeyKind>((record.flags & kKindMask) >> kKindShift);
}

std::uint32_t upper_word(const ConnectionRecord& record) { return static_cast<std::uint32_t>(record.reserved >> 32); }

void note(KeyKind kind, std::uint32_t upper, std::uint32_t hash, ConnectionRecord& record) {
  record.flags = (record.flags & ~kKindMask) | static_cast<std::uint32_t>(kind) << kKindShift;
  record.reserved = std::uint64_t{upper} << 32 | hash;
}

}  // namespace

void note_key(const FoundKey& key, HashKey hash_key, ConnectionRecord& record) {
  if (key.slot) return note_slot(*key.slot, record);
  const std::uint32_t hash = key.placement_key(hash_key).hash;
  record.bucket = static_cast<std::uint16_t>(bucket_of(hash));
  if (!key.address) return note(KeyKind::Text, crc32(key.text), hash, record);
  if (*key.address == remote_of(record)) return note(KeyKind::Remote, 0, hash, record);
  if (key.address->is_v6()) return note(KeyKind::Text, crc32(key.address->text()), hash, record);
  note(KeyKind::Address, key.address->word(0), hash, record);
}

void note_slot(SlotId slot, ConnectionRecord& record) { note(KeyKind::Slot, slot.value, 0, record); }

std::optional<SlotId> tagged_slot(const ConnectionRecord& record) {
  if (kind_of(record) != KeyKind::Slot) return std::nullopt;
  return SlotId{upper_word(record)};
}

IpAddress remote_of(const ConnectionRecord& record) {
  std::array<std::uint8_t, 16> bytes{};
  std::copy(std::begin(record.remote), std::end(record.remote), bytes.begin());
  return IpAddress::v6(bytes);
}

std::optional<std::uint32_t> noted_hash(const ConnectionRecord& record) {
  if (record.reserved == 0 || kind_of(record) == KeyKind::Slot) return std::nullopt;
  return static_cast<std::uint32_t>(record.reserved);
}

std::vector<std::uint32_t> weights_of(const PoolConfig& pool, unsigned slots) {
  std::vector<std::uint32_t> weights(slots, 1);
  const std::size_t given = std::min<std::size_t>(slots, pool.weights.size());
  for (std::size_t i = 0; i < given; i++) weights[i] = static_cast<std::uint32_t>(pool.weights[i]);
  return weights;
}

BucketTable table_for(const PoolConfig& pool, unsigned slots) {
  return pool.weights.empty() ? equal_shares(slots) : BucketTable(weights_of(pool, slots));
}

bool needs_placer(const PoolConfig& pool) {
  return pool.placement != Placement::Rendezvous || pool.balance_factor != 0;
}

Placer::Placer(const PoolConfig& pool, HashKey hash_key, unsigned slots)
    : pool_(pool),
      slots_(slots),
      strategy_(pool.placement, weights_of(pool, slots), pool.balance_factor),
      hash_key_(hash_key) {}

std::optional<std::uint32_t> Placer::key_hash(const ConnectionRecord& record) const {
  if (tagged_slot(record) || (record.family == HF_FAMILY_UNIX && kind_of(record) == KeyKind::Remote))
    return std::nullopt;
  return key_of(record).hash;
}

std::optional<SlotId> Placer::choose(const ConnectionRecord& record, std::span<const SlotLoad> slots,
                                     std::optional<SlotId> held_by) {
  const std::uint32_t random = mix(++draws_);
  if (record.family == HF_FAMILY_UNIX && kind_of(record) == KeyKind::Remote)
    return strategy_.choose_without_key(slots, random);
  PlacementKey key = key_of(record);
  key.held_by = held_by;
  return strategy_.choose(key, slots, random);
}

std::vector<SlotId> Placer::preference(const ConnectionRecord& record) const {
  Placer next(*this);
  std::vector<SlotLoad> slots(slots_, SlotLoad{true, 0});
  std::vector<SlotId> order;
  while (const std::optional<SlotId> slot = next.choose(record, slots)) {
    order.push_back(*slot);
    slots[slot->value].available = false;
  }
  return order;
}

PlacementKey Placer::key_of(const ConnectionRecord& record) const {
  PlacementKey key;
  key.hash = static_cast<std::uint32_t>(record.reserved);
  switch (kind_of(record)) {
    case KeyKind::Text:
      key.text_crc = upper_word(record);
      return key;
    case KeyKind::Address:
      key.address = IpAddress::v4(upper_word(record));
      return key;
    case KeyKind::Remote:
    case KeyKind::Slot:
      break;
  }
  key.address = remote_of(record);
  key.hash = hash_address(*key.address, pool_.prefix, hash_key_);
  return key;
}

}  // namespace holdfast
