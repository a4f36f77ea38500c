#include "core/steering_program.h"

#include <cstddef>
#include <limits>
#include <utility>

namespace holdfast {
namespace {

// The words of linux/bpf_common.h and linux/filter.h, which are system headers and so not for here.
constexpr std::uint16_t kLoadWord = 0x20;          // BPF_LD | BPF_W | BPF_ABS
constexpr std::uint16_t kLoadByte = 0x30;          // BPF_LD | BPF_B | BPF_ABS
constexpr std::uint16_t kLoadConstant = 0x00;      // BPF_LD | BPF_IMM
constexpr std::uint16_t kMultiply = 0x24;          // BPF_ALU | BPF_MUL | BPF_K
constexpr std::uint16_t kAnd = 0x54;               // BPF_ALU | BPF_AND | BPF_K
constexpr std::uint16_t kShiftRight = 0x74;        // BPF_ALU | BPF_RSH | BPF_K
constexpr std::uint16_t kXor = 0xa4;               // BPF_ALU | BPF_XOR | BPF_K
constexpr std::uint16_t kXorX = 0xac;              // BPF_ALU | BPF_XOR | BPF_X
constexpr std::uint16_t kCopyToX = 0x07;           // BPF_MISC | BPF_TAX
constexpr std::uint16_t kJump = 0x05;              // BPF_JMP | BPF_JA
constexpr std::uint16_t kJumpEqual = 0x15;         // BPF_JMP | BPF_JEQ | BPF_K
constexpr std::uint16_t kJumpGreaterEqual = 0x35;  // BPF_JMP | BPF_JGE | BPF_K
constexpr std::uint16_t kReturn = 0x06;            // BPF_RET | BPF_K

constexpr std::uint32_t kIpHeader = 0xfff00000;  // SKF_NET_OFF: loads count from the IP header
constexpr std::uint32_t kV4Source = kIpHeader + 12;
constexpr std::uint32_t kV6Source = kIpHeader + 8;
constexpr unsigned kBucketShift = 23;
static_assert(bucket_of(0xffffffffU) == 0xffffffffU >> kBucketShift);

using Program = std::vector<BpfInstruction>;

void append(Program& program, const Program& more) { program.insert(program.end(), more.begin(), more.end()); }

BpfInstruction load_v6_word(unsigned index) { return {kLoadWord, 0, 0, kV6Source + 4 * index}; }

// A = mix(A).
void append_mix(Program& program) {
  append(program, {{kCopyToX},
                   {kShiftRight, 0, 0, 16},
                   {kXorX},
                   {kMultiply, 0, 0, 0x85ebca6b},
                   {kCopyToX},
                   {kShiftRight, 0, 0, 13},
                   {kXorX},
                   {kMultiply, 0, 0, 0xc2b2ae35},
                   {kCopyToX},
                   {kShiftRight, 0, 0, 16},
                   {kXorX}});
}

// A = the hash of the IPv4 address in A.
Program hash_v4(KeyPrefix prefix, HashKey key) {
  Program program{{kAnd, 0, 0, prefix_mask(prefix.v4)}, {kXor, 0, 0, key.a}};
  append_mix(program);
  return program;
}

// A = the hash of the IPv6 source address, which is not a mapped one.
Program hash_v6(KeyPrefix prefix, HashKey key) {
  Program program{{kLoadConstant, 0, 0, key.b}};
  for (unsigned index = 0; index < 4 && prefix.v6 > 32 * index; ++index) {
    append(program, {{kCopyToX}, load_v6_word(index), {kAnd, 0, 0, prefix_mask(prefix.v6 - 32 * index)}, {kXorX}});
    append_mix(program);
  }
  return program;
}

// A = the hash of the source address.
Program hash_source(KeyPrefix prefix, HashKey key) {
  const Program v4 = hash_v4(prefix, key);
  const Program v6 = hash_v6(prefix, key);
  const auto to_end = static_cast<std::uint32_t>(v4.size());
  const auto to_v4 = static_cast<std::uint32_t>(v6.size() + 1);

  Program program{{kLoadByte, 0, 0, kIpHeader},
                  {kShiftRight, 0, 0, 4},
                  {kJumpEqual, 2, 0, 6},
                  {kLoadWord, 0, 0, kV4Source},
                  {kJump, 0, 0, 8 + to_v4},
                  // ::ffff:a.b.c.d is the client a.b.c.d, whichever header it comes in.
                  load_v6_word(2),
                  {kJumpEqual, 0, 6, 0xffff},
                  load_v6_word(0),
                  {kJumpEqual, 0, 4, 0},
                  load_v6_word(1),
                  {kJumpEqual, 0, 2, 0},
                  load_v6_word(3),
                  {kJump, 0, 0, to_v4}};
  append(program, v6);
  program.push_back({kJump, 0, 0, to_end});
  append(program, v4);
  return program;
}

// Neighbouring buckets of one member.
struct Run {
  unsigned first_bucket = 0;
  std::uint16_t member = 0;
};

std::vector<Run> runs_of(std::span<const std::uint16_t, kBuckets> members) {
  std::vector<Run> runs;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    if (runs.empty() || runs.back().member != members[bucket]) runs.push_back({bucket, members[bucket]});
  }
  return runs;
}

// Returns the member of the bucket in A, which lies in one of `runs`.
Program decide(std::span<const Run> runs) {
  if (runs.size() == 1) return constant_program(runs.front().member);

  const std::size_t half = runs.size() / 2;
  const Program lower = decide(runs.first(half));
  const auto to_upper = static_cast<std::uint32_t>(lower.size());
  Program program;
  if (to_upper <= std::numeric_limits<std::uint8_t>::max()) {
    program.push_back({kJumpGreaterEqual, static_cast<std::uint8_t>(to_upper), 0, runs[half].first_bucket});
  } else {
    append(program, {{kJumpGreaterEqual, 0, 1, runs[half].first_bucket}, {kJump, 0, 0, to_upper}});
  }
  append(program, lower);
  append(program, decide(runs.subspan(half)));
  return program;
}

}  // namespace

std::vector<BpfInstruction> compile_steering(std::span<const std::uint16_t, kBuckets> members, KeyPrefix prefix,
                                             HashKey key) {
  const std::vector<Run> runs = runs_of(members);
  if (runs.size() == 1) return constant_program(runs.front().member);

  Program program = hash_source(prefix, key);
  program.push_back({kShiftRight, 0, 0, kBucketShift});
  append(program, decide(runs));
  return program;
}

std::vector<BpfInstruction> constant_program(std::uint16_t member) { return {{kReturn, 0, 0, member}}; }

SteeringTable coarsen(std::span<const std::uint16_t, kBuckets> members, unsigned buckets) {
  SteeringTable coarse{};
  const unsigned group = kBuckets / buckets;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) coarse[bucket] = members[bucket - bucket % group];
  return coarse;
}

}  // namespace holdfast
