#include "core/steering_program.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "unit/core/bpf_interpreter.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

constexpr HashKey kKey{0x01234567, 0x89abcdef};
// What kernels before 6.8 have room for, with net.core.optmem_max as it comes.
constexpr std::size_t kOldKernelsLimit = 2400;
constexpr std::size_t kPromise = 1140;

// Every bucket its own member: the answer shows the bucket, and no two neighbours merge.
SteeringTable distinct_members() {
  SteeringTable members{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) members[bucket] = static_cast<std::uint16_t>(1000 + bucket);
  return members;
}

IpAddress random_v6(std::mt19937_64& random) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  // Often nearly a mapped address: what tells them apart is then in one place.
  if (random() % 4 == 0) {
    for (std::size_t i = 0; i < 10; ++i) bytes[i] = 0;
    bytes[10] = bytes[11] = 0xff;
    bytes[random() % 12] ^= static_cast<std::uint8_t>(random() % 2 == 0 ? 0x80 : 0x01);
  }
  return IpAddress::v6(bytes);
}

std::uint16_t expected(const SteeringTable& members, const IpAddress& source, KeyPrefix prefix, HashKey key) {
  return members[bucket_of(hash_address(source, prefix, key))];
}

TEST(SteeringProgram, AnswersForEveryBucketInBothFamilies) {
  const SteeringTable members = distinct_members();
  const auto program = compile_steering(members, {}, kKey);
  std::mt19937_64 random(random_seed());
  std::set<std::uint32_t> met_v4;
  std::set<std::uint32_t> met_v6;
  for (int i = 0; i < 20'000; ++i) {
    const IpAddress v4 = IpAddress::v4(static_cast<std::uint32_t>(random()));
    const std::uint32_t answer_v4 = run_bpf(program, packet_from(v4));
    ASSERT_EQ(answer_v4, expected(members, v4, {}, kKey)) << v4.text();
    met_v4.insert(answer_v4);
    const IpAddress v6 = random_v6(random);
    const std::uint32_t answer_v6 = run_bpf(program, packet_from(v6));
    ASSERT_EQ(answer_v6, expected(members, v6, {}, kKey)) << v6.text();
    met_v6.insert(answer_v6);
  }
  EXPECT_EQ(met_v4.size(), kBuckets);
  EXPECT_EQ(met_v6.size(), kBuckets);
}

TEST(SteeringProgram, HoldsAMappedAddressForItsIpv4Client) {
  const SteeringTable members = distinct_members();
  const auto program = compile_steering(members, {.v4 = 24, .v6 = 128}, kKey);
  std::mt19937_64 random(random_seed());
  for (int i = 0; i < 1000; ++i) {
    const IpAddress v4 = IpAddress::v4(static_cast<std::uint32_t>(random()));
    ASSERT_EQ(run_bpf(program, v6_packet(v4.bytes())), run_bpf(program, v4_packet(v4.word(0)))) << v4.text();
  }
}

TEST(SteeringProgram, CutsAtEveryPrefix) {
  const SteeringTable members = distinct_members();
  std::mt19937_64 random(random_seed());
  for (unsigned length = 0; length <= 128; ++length) {
    const KeyPrefix prefix{.v4 = length, .v6 = length};  // one too long for IPv4 is the whole address
    const HashKey key{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
    const auto program = compile_steering(members, prefix, key);
    for (int i = 0; i < 100; ++i) {
      for (const IpAddress& source : {IpAddress::v4(static_cast<std::uint32_t>(random())), random_v6(random)}) {
        ASSERT_EQ(run_bpf(program, packet_from(source)), expected(members, source, prefix, key))
            << source.text() << '/' << length;
      }
    }
  }
}

TEST(SteeringProgram, FollowsTheBucketTableForEveryNumberOfSlots) {
  std::mt19937_64 random(random_seed());
  for (unsigned slots = 1; slots <= kMaxSlots; ++slots) {
    const BucketTable table(std::vector<std::uint32_t>(slots, 1));
    SteeringTable members{};
    for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
      members[bucket] = static_cast<std::uint16_t>(1 + 2 * table.home(bucket).value + random() % 2);
    }
    const auto program = compile_steering(members, {}, kKey);
    EXPECT_LE(program.size(), kPromise) << slots;
    for (int i = 0; i < 100; ++i) {
      const IpAddress source = i % 2 == 0 ? IpAddress::v4(static_cast<std::uint32_t>(random())) : random_v6(random);
      ASSERT_EQ(run_bpf(program, packet_from(source)), expected(members, source, {}, kKey))
          << source.text() << " of " << slots;
    }
  }
}

// Runs of every length, at every place, so that jumps of every length are met.
TEST(SteeringProgram, FollowsAnyTable) {
  std::mt19937_64 random(random_seed());
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t changes = 1 + random() % 512;  // in 512 buckets, on average
    SteeringTable members{};
    std::uint16_t member = 0;
    for (std::uint16_t& place : members) {
      if (random() % 512 < changes) member = static_cast<std::uint16_t>(random());
      place = member;
    }
    const HashKey key{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
    const auto program = compile_steering(members, {}, key);
    for (int i = 0; i < 1000; ++i) {
      const IpAddress source = IpAddress::v4(static_cast<std::uint32_t>(random()));
      ASSERT_EQ(run_bpf(program, packet_from(source)), expected(members, source, {}, key)) << source.text();
    }
  }
}

TEST(SteeringProgram, FitsOldKernelsAndDecidesInAFewSteps) {
  const auto program = compile_steering(distinct_members(), {.v4 = 32, .v6 = 128}, kKey);
  EXPECT_LE(program.size(), kPromise);
  EXPECT_LE(kPromise, kOldKernelsLimit);
  const Packet packet = packet_from(IpAddress::v4(0x7f000001));
  BpfInterpreter interpreter(program, packet);
  (void)interpreter.run();
  EXPECT_LE(interpreter.steps(), 34U);  // 5 to the address, 13 of hash, 2 around it, 12 at most to decide
}

TEST(SteeringProgram, MergesNeighboursOfOneMember) {
  SteeringTable members{};
  for (unsigned bucket = 100; bucket < 200; ++bucket) members[bucket] = 7;
  SteeringTable three = members;
  three[300] = 9;
  // Two boundaries more are two comparisons and two leaves more.
  EXPECT_EQ(compile_steering(three, {}, kKey).size(), compile_steering(members, {}, kKey).size() + 4);
}

TEST(SteeringProgram, OneMemberForAllNeedsNoHash) {
  SteeringTable members{};
  members.fill(3);
  EXPECT_EQ(compile_steering(members, {}, kKey), constant_program(3));
  EXPECT_EQ(run_bpf(constant_program(3), packet_from(IpAddress())), 3U);
}

TEST(SteeringProgram, APacketThatIsCutOffGoesToIndexZero) {
  const auto program = compile_steering(distinct_members(), {.v4 = 32, .v6 = 128}, kKey);
  const Packet v4 = packet_from(IpAddress::v4(0x7f000001));
  for (std::size_t length = 0; length < 16; ++length) EXPECT_EQ(run_bpf(program, std::span(v4).first(length)), 0U);
  const Packet v6 = v6_packet({0x20, 0x01, 0x0d, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  for (std::size_t length = 0; length < 24; ++length) EXPECT_EQ(run_bpf(program, std::span(v6).first(length)), 0U);
  EXPECT_NE(run_bpf(program, std::span(v4).first(16)), 0U);
  EXPECT_NE(run_bpf(program, std::span(v6).first(24)), 0U);
}

TEST(SteeringProgram, ACoarseTableLetsTheFirstBucketOfEachGroupSpeak) {
  const SteeringTable members = distinct_members();
  for (const unsigned buckets : {256U, 128U, 64U}) {
    const SteeringTable coarse = coarsen(members, buckets);
    const unsigned group = kBuckets / buckets;
    for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
      ASSERT_EQ(coarse[bucket], members[bucket / group * group]) << bucket << " of " << buckets;
    }
    // A leaf and a comparison for each bucket: half the buckets, about half the program.
    EXPECT_LE(compile_steering(coarse, {}, kKey).size(), 2 * buckets + 90) << buckets;
  }
  EXPECT_EQ(coarsen(members, kBuckets), members);
}

}  // namespace
}  // namespace holdfast
