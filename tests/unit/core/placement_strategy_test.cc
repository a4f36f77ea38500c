#include "core/placement_strategy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include "core/placement_key.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using Weights = std::vector<std::uint32_t>;

constexpr Placement kByKey[] = {Placement::Rendezvous, Placement::Crc32, Placement::IpHash, Placement::Source};
constexpr Placement kByLoad[] = {Placement::RoundRobin, Placement::LeastConnections, Placement::RandomTwo};
constexpr HashKey kHashKey{0x01234567, 0x89abcdef};

std::vector<SlotLoad> idle(std::size_t count) { return std::vector<SlotLoad>(count, SlotLoad{true, 0}); }

PlacementKey address_key(const IpAddress& address) {
  return {.hash = hash_address(address, {32, 128}, kHashKey), .address = address, .text = {}, .held_by = {}};
}
PlacementKey address_key(std::string_view text) { return address_key(*IpAddress::parse(text)); }
PlacementKey text_key(std::string_view text) {
  return {.hash = hash_text(text, kHashKey), .address = {}, .text = text, .held_by = {}};
}

// The slot as a number; -1: none.
int choose(PlacementStrategy& strategy, const PlacementKey& key, const std::vector<SlotLoad>& slots,
           std::uint32_t random = 0) {
  const std::optional<SlotId> slot = strategy.choose(key, slots, random);
  return slot ? static_cast<int>(slot->value) : -1;
}

TEST(PlacementStrategy, ChoosesNothingWhereNothingIsAvailable) {
  for (const Placement placement : {kByKey[0], kByKey[1], kByKey[2], kByKey[3], kByLoad[0], kByLoad[1], kByLoad[2]}) {
    PlacementStrategy none(placement, {});
    EXPECT_EQ(choose(none, text_key("a"), {}), -1);
    PlacementStrategy down(placement, {1, 1});
    EXPECT_EQ(choose(down, text_key("a"), {{false, 0}, {false, 0}}), -1);
    EXPECT_EQ(down.choose_without_key(std::vector<SlotLoad>{{false, 0}, {false, 0}}, 1), std::nullopt);
    PlacementStrategy weightless(placement, {0, 0});
    EXPECT_EQ(choose(weightless, text_key("a"), idle(2)), -1);
    PlacementStrategy one(placement, {0, 3, 0});
    EXPECT_EQ(choose(one, text_key("a"), idle(3)), 1);
    EXPECT_EQ(choose(one, address_key("192.0.2.1"), idle(3), 77), 1);
  }
}

TEST(PlacementStrategy, RendezvousIsTheBucketTable) {
  PlacementStrategy strategy(Placement::Rendezvous, {1, 2, 1, 3});
  const BucketTable table(Weights{1, 2, 1, 3});
  const std::vector<bool> available = {true, false, true, true};
  std::vector<SlotLoad> slots = idle(4);
  slots[1].available = false;
  for (std::uint32_t client = 0; client < 2000; ++client) {
    const PlacementKey key = address_key(IpAddress::v4(client));
    EXPECT_EQ(strategy.choose(key, slots, client), table.route(bucket_of(key.hash), available));
  }
}

// What `Math.abs(crc.crc32(uid)) % n` is with the `crc` 0.2.0 that Pomelo 2 depends on, computed with it for 2, 3, 4 and 7 slots.
TEST(PlacementStrategy, Crc32PlacesAsPomeloDoes) {
  struct Vector {
    const char* uid;
    std::array<int, 4> slots;
  };
  for (const Vector& vector :
       {Vector{"", {0, 0, 0, 0}}, Vector{"a", {1, 1, 1, 0}}, Vector{"1", {1, 2, 1, 2}}, Vector{"10001", {1, 1, 3, 4}},
        Vector{"user-42", {1, 1, 3, 1}}, Vector{"123456789", {0, 2, 2, 6}}, Vector{"pomelo", {1, 1, 1, 3}},
        Vector{"f47ac10b-58cc-4372-a567-0e02b2c3d479", {1, 0, 1, 6}}}) {
    const std::array<std::size_t, 4> counts = {2, 3, 4, 7};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      PlacementStrategy strategy(Placement::Crc32, Weights(counts[i], 5));
      EXPECT_EQ(choose(strategy, text_key(vector.uid), idle(counts[i])), vector.slots[i]) << vector.uid;
    }
  }
  PlacementStrategy strategy(Placement::Crc32, Weights(7, 1));
  EXPECT_EQ(choose(strategy, address_key("10.0.0.1"), idle(7)), 2) << "an address is its text";
  EXPECT_EQ(choose(strategy, address_key("2001:db8::1"), idle(7)), 3);
}

// From nginx 1.22.1 with three servers, all up and the second one down. The component test asks nginx itself.
TEST(PlacementStrategy, IpHashPlacesAsNginxDoes) {
  struct Vector {
    const char* client;
    int up;
    int down;
  };
  for (const Vector& vector : {
           Vector{"127.0.0.1", 2, 2},
           Vector{"127.1.2.3", 0, 0},
           Vector{"127.200.17.9", 1, 2},
           Vector{"127.99.1.254", 1, 0},
           Vector{"127.255.255.1", 0, 0},
           Vector{"127.3.141.59", 2, 2},
           Vector{"127.8.0.77", 0, 0},
           Vector{"fd00::1", 1, 2},
           Vector{"fd00::2", 2, 2},
           Vector{"fd00:1:2:3:4:5:6:7", 0, 0},
           Vector{"fd00:dead:beef::1", 0, 0},
           Vector{"fd00:0:0:17::1", 1, 2},
           Vector{"fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2, 2},
           Vector{"fd00::a:b:c", 0, 0},
       }) {
    PlacementStrategy strategy(Placement::IpHash, {1, 1, 1});
    EXPECT_EQ(choose(strategy, address_key(vector.client), idle(3)), vector.up) << vector.client;
    EXPECT_EQ(choose(strategy, address_key(vector.client), {{true, 0}, {false, 0}, {true, 0}}), vector.down)
        << vector.client;
  }
}

TEST(PlacementStrategy, IpHashTakesASlash24AsOneClient) {
  PlacementStrategy strategy(Placement::IpHash, {1, 1, 1, 1, 1});
  for (const char* const other : {"192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"}) {
    EXPECT_EQ(choose(strategy, address_key(other), idle(5)), choose(strategy, address_key("192.0.2.1"), idle(5)));
  }
}

// With two slots of two hundred up most walks find none of them, and then the answers go round.
TEST(PlacementStrategy, IpHashGoesRoundAfterTwentySteps) {
  PlacementStrategy strategy(Placement::IpHash, Weights(200, 1));
  std::vector<SlotLoad> slots(200);
  slots[7].available = slots[150].available = true;
  int round = 0;
  for (std::uint32_t net = 0; net < 100; ++net) {
    const PlacementKey key = address_key(IpAddress::v4(net << 8));
    const int first = choose(strategy, key, slots);
    const int second = choose(strategy, key, slots);
    ASSERT_TRUE(first == 7 || first == 150) << first;
    if (first != second) ++round;
  }
  EXPECT_GT(round, 60) << "the chance to find none in 21 steps is 81 %";
  EXPECT_LT(round, 100);
}

// From HAProxy 2.6.12 with three servers, `balance source` and `hash-type map-based`.
TEST(PlacementStrategy, SourcePlacesAsHaproxyDoes) {
  struct Vector {
    const char* client;
    int slot;
  };
  for (const Vector& vector :
       {Vector{"127.0.0.1", 2}, Vector{"127.1.2.3", 1}, Vector{"127.200.17.9", 2}, Vector{"127.99.1.254", 1},
        Vector{"127.255.255.1", 2}, Vector{"127.3.141.59", 0}, Vector{"fd00::1", 2}, Vector{"fd00::2", 0},
        Vector{"fd00:1:2:3:4:5:6:7", 1}, Vector{"fd00:dead:beef::1", 1},
        Vector{"fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2}, Vector{"fd00::a:b:c", 0}}) {
    PlacementStrategy strategy(Placement::Source, {2, 2, 2});
    EXPECT_EQ(choose(strategy, address_key(vector.client), idle(3)), vector.slot) << vector.client;
  }
}

TEST(PlacementStrategy, AModuloPassesASlotThatIsDownToTheNextAndMovesNobodyElse) {
  for (const Placement placement : {Placement::Crc32, Placement::Source}) {
    PlacementStrategy strategy(placement, {1, 1, 1, 1});
    std::vector<SlotLoad> slots = idle(4);
    slots[3].available = slots[0].available = false;
    for (std::uint32_t client = 0; client < 200; ++client) {
      const PlacementKey key = address_key(IpAddress::v4(client));
      const int home = choose(strategy, key, idle(4));
      EXPECT_EQ(choose(strategy, key, slots), home == 3 || home == 0 ? 1 : home);
    }
  }
}

TEST(PlacementStrategy, KeysAreSpreadByWeight) {
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {10, 30, 0, 20});
    std::array<int, 4> hits{};
    for (std::uint32_t client = 0; client < 60'000; ++client) {
      const int slot = choose(strategy, address_key(IpAddress::v4(mix(client))), idle(4));
      ++hits[static_cast<std::size_t>(slot)];
    }
    EXPECT_NEAR(hits[0], 10'000, 600) << static_cast<int>(placement);
    EXPECT_NEAR(hits[1], 30'000, 600);
    EXPECT_EQ(hits[2], 0);
    EXPECT_NEAR(hits[3], 20'000, 600);
  }
}

// A slot that has just begun takes a growing part of its keys. The others go where they would if it were down.
TEST(PlacementStrategy, UnderSlowStartKeysComeToTheirSlotOneAfterTheOtherAndStay) {
  constexpr std::uint32_t kClients = 40'000;
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {1, 1, 1, 1});
    std::vector<SlotLoad> down = idle(4);
    down[2].available = false;
    std::vector<bool> has_come(kClients, false);
    for (unsigned tenths = 1; tenths <= 10; ++tenths) {
      std::vector<SlotLoad> slots = idle(4);
      slots[2].tenths = tenths;
      double homes = 0, came = 0;
      for (std::uint32_t client = 0; client < kClients; ++client) {
        const PlacementKey key = address_key(IpAddress::v4(mix(client)));
        const int home = choose(strategy, key, idle(4));
        const int slot = choose(strategy, key, slots);
        homes += home == 2 ? 1 : 0;
        came += slot == 2 ? 1 : 0;
        if (slot == 2) {
          ASSERT_EQ(home, 2);
          has_come[client] = true;
        } else {
          ASSERT_FALSE(has_come[client]) << "tenths " << tenths;
          ASSERT_EQ(slot, home == 2 ? choose(strategy, key, down) : home);
        }
        ASSERT_TRUE(tenths < 10 || slot == home);
      }
      EXPECT_NEAR(came / homes, tenths / 10.0, 0.05) << static_cast<int>(placement);
    }
  }
}

// Those that take all of their keys have as much as they may have.
TEST(PlacementStrategy, ASlotThatStartsSlowlyTakesWhatNobodyElseMay) {
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {1, 1}, 100);
    for (std::uint32_t client = 0; client < 200; ++client) {
      EXPECT_EQ(choose(strategy, address_key(IpAddress::v4(mix(client))), {{true, 10}, {true, 0, 1}}), 1);
    }
  }
}

TEST(PlacementStrategy, WhereAllSlotsStartSlowlyEachHasItsKeys) {
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {1, 2, 1});
    std::vector<SlotLoad> slots = idle(3);
    for (SlotLoad& slot : slots) slot.tenths = 3;
    for (std::uint32_t client = 0; client < 1000; ++client) {
      const PlacementKey key = address_key(IpAddress::v4(mix(client)));
      EXPECT_EQ(choose(strategy, key, slots), choose(strategy, key, idle(3)));
    }
    slots[0].available = slots[1].available = false;
    EXPECT_EQ(choose(strategy, address_key("192.0.2.1"), slots), 2) << "there is no other";
  }
}

TEST(PlacementStrategy, AKeyIsGivenTheSameSlotWhateverTheLoad) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {1, 2, 3});
    std::vector<SlotLoad> slots = idle(3);
    const int home = choose(strategy, address_key("203.0.113.7"), slots);
    for (int i = 0; i < 100; ++i) {
      for (SlotLoad& slot : slots) slot.connections = random() % 1000;
      EXPECT_EQ(choose(strategy, address_key("203.0.113.7"), slots, random()), home);
    }
  }
}

TEST(PlacementStrategy, RoundRobinSpreadsTheTurnsOfASlotEvenly) {
  PlacementStrategy strategy(Placement::RoundRobin, {5, 1, 1});
  std::vector<int> turns;
  for (int i = 0; i < 7; ++i) turns.push_back(choose(strategy, {}, idle(3)));
  EXPECT_THAT(turns, ElementsAre(0, 0, 1, 0, 2, 0, 0));
}

TEST(PlacementStrategy, RoundRobinSkipsWhatIsDown) {
  PlacementStrategy strategy(Placement::RoundRobin, {1, 1, 1});
  std::vector<SlotLoad> slots = idle(3);
  slots[1].available = false;
  std::vector<int> turns;
  for (int i = 0; i < 4; ++i) turns.push_back(choose(strategy, {}, slots));
  EXPECT_THAT(turns, ElementsAre(0, 2, 0, 2));
  slots[1].available = true;
  std::array<int, 3> hits{};
  for (int i = 0; i < 30; ++i) ++hits[static_cast<std::size_t>(choose(strategy, {}, slots))];
  EXPECT_THAT(hits, ElementsAre(10, 10, 10));
}

TEST(PlacementStrategy, LeastConnectionsCountsByWeight) {
  PlacementStrategy strategy(Placement::LeastConnections, {1, 1, 4});
  EXPECT_EQ(choose(strategy, {}, {{true, 3}, {true, 2}, {true, 12}}), 1);
  EXPECT_EQ(choose(strategy, {}, {{true, 3}, {true, 2}, {true, 8}}), 2) << "9 / 4 is less than 3 / 1";
  EXPECT_EQ(choose(strategy, {}, {{true, 3}, {true, 2}, {false, 0}}), 1);
  std::array<int, 3> hits{};
  PlacementStrategy equal(Placement::LeastConnections, {1, 1, 1});
  for (std::uint32_t random = 0; random < 300; ++random) {
    ++hits[static_cast<std::size_t>(choose(equal, {}, idle(3), random))];
  }
  EXPECT_THAT(hits, ElementsAre(100, 100, 100)) << "equal ones take turns";
}

TEST(PlacementStrategy, RandomTwoIsTheBetterOfTwo) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  PlacementStrategy two(Placement::RandomTwo, {1, 1});
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(choose(two, {}, {{true, 5}, {true, 4}}, random()), 1) << "both are always drawn";

  PlacementStrategy strategy(Placement::RandomTwo, Weights(10, 1));
  std::vector<SlotLoad> slots = idle(10);
  for (int i = 0; i < 10'000; ++i) ++slots[static_cast<std::size_t>(choose(strategy, {}, slots, random()))].connections;
  const auto [least, most] = std::minmax_element(
      slots.begin(), slots.end(), [](const SlotLoad& a, const SlotLoad& b) { return a.connections < b.connections; });
  EXPECT_LE(most->connections - least->connections, 20U) << "one random choice would leave some 100 between them";
}

// 30 % of all connections come from one key, and slots are given at most 125 % of their share.
TEST(PlacementStrategy, ABalanceFactorBoundsEverySlot) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  for (const Placement placement : kByKey) {
    const Weights weights = {1, 2, 1, 1};
    PlacementStrategy strategy(placement, weights, 125);
    std::vector<SlotLoad> slots = idle(4);
    for (std::uint64_t placed = 1; placed <= 5000; ++placed) {
      const bool heavy = random() % 10 < 3;
      const PlacementKey key = heavy ? address_key("203.0.113.7") : address_key(IpAddress::v4(random()));
      const int slot = choose(strategy, key, slots, random());
      ASSERT_GE(slot, 0);
      ++slots[static_cast<std::size_t>(slot)].connections;
      for (std::size_t i = 0; i < slots.size(); ++i) {
        const double share = static_cast<double>(placed) * weights[i] / 5;
        ASSERT_LE(slots[i].connections, share * 1.25 + 1) << static_cast<int>(placement);
      }
    }
  }
}

TEST(PlacementStrategy, AKeyThatHasAConnectionStaysWithIt) {
  for (const Placement placement : kByKey) {
    PlacementStrategy strategy(placement, {1, 1, 1}, 110);
    PlacementKey key = address_key("203.0.113.7");
    const int home = choose(strategy, key, idle(3));
    std::vector<SlotLoad> slots = idle(3);
    slots[static_cast<std::size_t>(home)].connections = 1000;
    const int other = choose(strategy, key, slots);
    EXPECT_NE(other, home);
    key.held_by = SlotId(static_cast<std::uint32_t>(home));
    EXPECT_EQ(choose(strategy, key, slots), home);
    slots[static_cast<std::size_t>(home)].available = false;
    EXPECT_NE(choose(strategy, key, slots), home);
    key.held_by = SlotId(99);
    EXPECT_NE(choose(strategy, key, slots), -1) << "a slot that is no more";
  }
}

TEST(PlacementStrategy, WithTheBoundOnlyWhatItMustIsMoved) {
  PlacementStrategy bounded(Placement::Rendezvous, {1, 1, 1, 1}, 100);
  PlacementStrategy plain(Placement::Rendezvous, {1, 1, 1, 1});
  const std::vector<SlotLoad> slots = {{true, 10}, {true, 0}, {true, 5}, {true, 4}};  // the mean is 5, with the next
  for (std::uint32_t client = 0; client < 400; ++client) {
    const PlacementKey key = address_key(IpAddress::v4(client));
    const int home = choose(plain, key, slots);
    const int placed = choose(bounded, key, slots);
    if (home == 1 || home == 3) {
      EXPECT_EQ(placed, home);
    }
    EXPECT_TRUE(placed == 1 || placed == 3) << placed;
  }
}

TEST(PlacementStrategy, AConnectionWithoutAKeyGoesToTheLeastLoaded) {
  const PlacementStrategy strategy(Placement::Rendezvous, {1, 1, 1});
  EXPECT_EQ(strategy.choose_without_key(std::vector<SlotLoad>{{true, 2}, {true, 1}, {false, 0}}, 5), SlotId(1));
}

TEST(SlowStart, GrowsByTenths) {
  using namespace std::chrono_literals;
  EXPECT_EQ(tenths_in_slow_start(0s, 10s), 1U);
  EXPECT_EQ(tenths_in_slow_start(1s, 10s), 1U);
  EXPECT_EQ(tenths_in_slow_start(1s + 1ns, 10s), 2U);
  EXPECT_EQ(tenths_in_slow_start(5500ms, 10s), 6U);
  EXPECT_EQ(tenths_in_slow_start(10s, 10s), 10U);
  EXPECT_EQ(tenths_in_slow_start(0s, 0s), 10U);
  EXPECT_EQ(tenths_in_slow_start(0s, 5ns), 1U) << "shorter than a step";
}

TEST(SlowStart, ASlotThatHasJustBegunGetsATenthByLoad) {
  std::mt19937 random(random_seed());
  for (const Placement placement : kByLoad) {
    PlacementStrategy strategy(placement, {1, 1});
    std::vector<SlotLoad> slots = {{true, 0, 10}, {true, 0, 1}};
    for (int i = 0; i < 1100; ++i) {
      const int slot = choose(strategy, text_key("a"), slots, random());
      ++slots[static_cast<std::size_t>(slot)].connections;
    }
    EXPECT_NEAR(slots[1].connections, 100, placement == Placement::RandomTwo ? 60 : 1) << static_cast<int>(placement);
  }
}

}  // namespace
}  // namespace holdfast
