#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/bucket_table.h"
#include "core/placement_key.h"

namespace holdfast {

// One instruction of classic BPF: the kernel's sock_filter.
struct BpfInstruction {
  std::uint16_t code = 0;
  std::uint8_t jump_if_true = 0;   // instructions to skip
  std::uint8_t jump_if_false = 0;  // instructions to skip
  std::uint32_t k = 0;
  bool operator==(const BpfInstruction&) const = default;
};

// Which member of a reuseport group serves each bucket, by its index in the group.
using SteeringTable = std::array<std::uint16_t, kBuckets>;

// The program that makes the kernel place a client as the pass plane would: it answers
// members[bucket_of(hash_address(source, prefix, key))].
//
// The hash is inside, then a binary decision over the bucket: about nine comparisons. It reads the IP header only
// (SKF_NET_OFF), so TCP and UDP run the same program. A packet too short to have an address answers 0, as every failing
// load does: index 0 is for the member that may get anybody.
//
// Runs of buckets with the same member are one leaf. The worst table, 512 runs, makes 1,140 instructions at most.
[[nodiscard]] std::vector<BpfInstruction> compile_steering(std::span<const std::uint16_t, kBuckets> members,
                                                           KeyPrefix prefix, HashKey key);

// Everybody to one member.
[[nodiscard]] std::vector<BpfInstruction> constant_program(std::uint16_t member);

// The table with fewer buckets, for a kernel that has no room for the whole program: the first bucket of each group of
// neighbours speaks for all of them. Nothing else in the group matters, so a client moves only when the bucket that
// speaks for it moves. `buckets` divides kBuckets. With few buckets for a slot shares become coarse, and a slot may be
// left with none.
[[nodiscard]] SteeringTable coarsen(std::span<const std::uint16_t, kBuckets> members, unsigned buckets);

}  // namespace holdfast
