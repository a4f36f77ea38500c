// What the core costs for each connection (hash, route), for each change of size (the table) and of routes (the program).
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <vector>

#include "core/bucket_table.h"
#include "core/ip_address.h"
#include "core/placement_key.h"
#include "core/steering_program.h"

namespace holdfast {
namespace {

constexpr HashKey kKey{0x01234567, 0x89abcdef};

void hash_v4(benchmark::State& state) {
  std::uint32_t word = 0x0a000000;
  for (auto _ : state) benchmark::DoNotOptimize(hash_address(IpAddress::v4(word++), KeyPrefix{}, kKey));
}
BENCHMARK(hash_v4);

void hash_v6(benchmark::State& state) {
  std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
  for (auto _ : state) {
    ++bytes[7];
    benchmark::DoNotOptimize(hash_address(IpAddress::v6(bytes), KeyPrefix{}, kKey));
  }
}
BENCHMARK(hash_v6);

void route_home(benchmark::State& state) {
  const auto slots = static_cast<std::size_t>(state.range(0));
  const BucketTable table(std::vector<std::uint32_t>(slots, 1));
  const std::vector<bool> available(slots, true);
  unsigned bucket = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.route(bucket++ % kBuckets, available));
}
BENCHMARK(route_home)->Arg(4)->Arg(256);

// Only the buckets of a slot that is down pay this.
void route_second_choice(benchmark::State& state) {
  const auto slots = static_cast<std::size_t>(state.range(0));
  const BucketTable table(std::vector<std::uint32_t>(slots, 1));
  std::vector<bool> available(slots, true);
  const unsigned bucket = 17;
  available[table.home(bucket).value] = false;
  for (auto _ : state) benchmark::DoNotOptimize(table.route(bucket, available));
}
BENCHMARK(route_second_choice)->Arg(4)->Arg(64)->Arg(256);

void build_table(benchmark::State& state) {
  const std::vector<std::uint32_t> weights(static_cast<std::size_t>(state.range(0)), 1);
  for (auto _ : state) benchmark::DoNotOptimize(BucketTable(weights));
}
BENCHMARK(build_table)->Arg(4)->Arg(64)->Arg(256)->Unit(benchmark::kMicrosecond);

// What a change of routes costs before the kernel hears of it: the worst table, in which no two neighbours are alike.
void compile_worst_steering_program(benchmark::State& state) {
  SteeringTable members{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) members[bucket] = static_cast<std::uint16_t>(bucket);
  for (auto _ : state) benchmark::DoNotOptimize(compile_steering(members, KeyPrefix{}, kKey));
}
BENCHMARK(compile_worst_steering_program)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace holdfast
