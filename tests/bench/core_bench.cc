// What the core costs for each connection (hash, route), for each change of size (the table) and of routes (the program).
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "core/admission.h"
#include "core/bucket_table.h"
#include "core/cidr.h"
#include "core/heavy_sources.h"
#include "core/ip_address.h"
#include "core/placement_key.h"
#include "core/placement_strategy.h"
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

// Random ranges, from /16 to /32 and from /32 to /64.
std::vector<Cidr> random_ranges(std::size_t count, bool v6) {
  std::mt19937 random(7);
  std::vector<Cidr> ranges;
  while (ranges.size() < count) {
    const unsigned bits = 16 + random() % 17;
    if (!v6) {
      ranges.push_back({masked(IpAddress::v4(random()), bits), bits});
      continue;
    }
    std::array<std::uint8_t, 16> bytes{0x20, 0x01};
    for (std::size_t i = 2; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(random());
    ranges.push_back({masked(IpAddress::v6(bytes), 2 * bits), 2 * bits});
  }
  return ranges;
}

// What a list of so many ranges costs each connection. The addresses are random, so the caches help little.
void cidr_lookup(benchmark::State& state) {
  const bool v6 = state.range(1) == 6;
  const std::vector<Cidr> ranges = random_ranges(static_cast<std::size_t>(state.range(0)), v6);
  const CidrSet set(ranges);
  std::uint32_t n = 0;
  for (auto _ : state) {
    const IpAddress base = ranges[mix(++n) % ranges.size()].address;
    benchmark::DoNotOptimize(set.longest_match(base));
  }
  state.counters["bytes"] = static_cast<double>(set.bytes());
}
BENCHMARK(cidr_lookup)->ArgNames({"ranges", "ip"})->Args({1000, 4})->Args({100'000, 4})->Args({100'000, 6});

void cidr_build(benchmark::State& state) {
  const std::vector<Cidr> ranges = random_ranges(100'000, state.range(0) == 6);
  for (auto _ : state) benchmark::DoNotOptimize(CidrSet(ranges));
}
BENCHMARK(cidr_build)->ArgName("ip")->Arg(4)->Arg(6)->Unit(benchmark::kMillisecond);

// A connection that is let in and closed again, of one of so many sources; the table remembers 65,536.
void admission(benchmark::State& state) {
  Admission admission({.rate = 1000, .source_connections = 1000}, kKey);
  TimePoint now{std::chrono::hours(1)};
  std::uint32_t n = 0;
  for (auto _ : state) {
    now += std::chrono::microseconds(10);
    const IpAddress source = IpAddress::v4(mix(++n) % static_cast<std::uint32_t>(state.range(0)));
    admission.on_closed(*admission.on_connection(source, now).ticket);
  }
  state.counters["bytes/source"] = static_cast<double>(admission.bytes()) / static_cast<double>(admission.sources());
}
BENCHMARK(admission)->ArgName("sources")->Arg(100)->Arg(65'536)->Arg(1'000'000);

// A connection of one of so many sources where no limit remembers them.
void heavy_sources(benchmark::State& state) {
  HeavySources heavy({32, 64}, kKey);
  std::uint32_t n = 0;
  for (auto _ : state) {
    const IpAddress source = IpAddress::v4(mix(++n) % static_cast<std::uint32_t>(state.range(0)));
    heavy.on_connection(source, HeavySources::Fate::LetIn);
  }
}
BENCHMARK(heavy_sources)->ArgName("sources")->Arg(100)->Arg(1'000'000);

void place(benchmark::State& state) {
  const auto slots = static_cast<std::size_t>(state.range(1));
  const auto factor = static_cast<unsigned>(state.range(2));
  PlacementStrategy strategy(static_cast<Placement>(state.range(0)), std::vector<std::uint32_t>(slots, 1), factor);
  const std::vector<SlotLoad> loads(slots, SlotLoad{true, 10});
  std::uint32_t n = 0;
  for (auto _ : state) {
    const IpAddress address = IpAddress::v4(mix(++n));
    const PlacementKey key{.hash = n, .address = address, .text = {}, .held_by = {}};
    benchmark::DoNotOptimize(strategy.choose(key, loads, n));
  }
}
BENCHMARK(place)
    ->ArgNames({"placement", "slots", "factor"})
    ->ArgsProduct({benchmark::CreateDenseRange(0, 6, 1), {4, 64}, {0}})
    ->Args({0, 64, 125});

// What a change of routes costs before the kernel hears of it: the worst table, in which no two neighbours are alike.
void compile_worst_steering_program(benchmark::State& state) {
  SteeringTable members{};
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) members[bucket] = static_cast<std::uint16_t>(bucket);
  for (auto _ : state) benchmark::DoNotOptimize(compile_steering(members, KeyPrefix{}, kKey));
}
BENCHMARK(compile_worst_steering_program)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace holdfast
