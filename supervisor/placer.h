#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/config.h"
#include "core/bucket_table.h"
#include "core/placement_key.h"
#include "core/placement_strategy.h"
#include "core/preface_key.h"
#include "wire/channel_frames.h"

namespace holdfast {

// What a connection is placed by stands in its record (bucket, and the words that PROTOCOL.md leaves to the supervisor), and not
// beside it: so it can be placed anew, by the same, after it was read back from a channel.
void note_key(const FoundKey& key, HashKey hash_key, ConnectionRecord& record);
// The same for a slot that is decided already; where it cannot take the connection, the client's address counts.
void note_slot(SlotId slot, ConnectionRecord& record);
// The slot that a worker has put into the connection's session id, or that was decided otherwise.
[[nodiscard]] std::optional<SlotId> tagged_slot(const ConnectionRecord& record);
[[nodiscard]] IpAddress remote_of(const ConnectionRecord& record);
// The hash of its key, if that was noted.
[[nodiscard]] std::optional<std::uint32_t> noted_hash(const ConnectionRecord& record);

// The buckets of so many slots with the pool's weights, and the weights themselves.
[[nodiscard]] std::vector<std::uint32_t> weights_of(const PoolConfig& pool, unsigned slots);
[[nodiscard]] BucketTable table_for(const PoolConfig& pool, unsigned slots);

// Whether the pool's connections are placed by another strategy than the table of buckets alone.
[[nodiscard]] bool needs_placer(const PoolConfig& pool);

// Places the connections of a pool by such a strategy.
class Placer {
 public:
  // `pool` is borrowed.
  Placer(const PoolConfig& pool, HashKey hash_key, unsigned slots);

  // `held_by`: the slot where its key has open connections.
  [[nodiscard]] std::optional<SlotId> choose(const ConnectionRecord& record, std::span<const SlotLoad> slots,
                                             std::optional<SlotId> held_by = {});
  // The slots in the order in which it would choose them, were all of them idle.
  [[nodiscard]] std::vector<SlotId> preference(const ConnectionRecord& record) const;

  // What tells its key from others; nothing: it has none.
  [[nodiscard]] std::optional<std::uint32_t> key_hash(const ConnectionRecord& record) const;

 private:
  [[nodiscard]] PlacementKey key_of(const ConnectionRecord& record) const;

  const PoolConfig& pool_;  // whose prefix may change
  unsigned slots_;
  PlacementStrategy strategy_;
  HashKey hash_key_;
  std::uint32_t draws_ = 0;
};

}  // namespace holdfast
