#include "core/heavy_sources.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using Fate = HeavySources::Fate;

constexpr HashKey kKey{0x01234567, 0x89abcdef};
constexpr KeyPrefix kSource{32, 64};

TEST(HeavySources, CountsWhoComesAndIsRefused) {
  HeavySources heavy(kSource, kKey);
  EXPECT_THAT(heavy.sources(), testing::IsEmpty());
  for (int i = 0; i < 3; ++i) heavy.on_connection(*IpAddress::parse("192.0.2.1"), Fate::LetIn);
  heavy.on_connection(*IpAddress::parse("192.0.2.1"), Fate::Refused);
  for (const char* const one : {"2001:db8::1", "2001:db8::2"}) heavy.on_connection(*IpAddress::parse(one), Fate::LetIn);
  heavy.on_connection(*IpAddress::parse("192.0.2.2"), Fate::LetIn);
  const std::vector<HeavySources::Source> two = heaviest_of(heavy.sources(), 2);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].address.text(), "192.0.2.1");
  EXPECT_EQ(two[0].bits, 32u);
  EXPECT_EQ(two[0].seen, 4u);
  EXPECT_EQ(two[0].refused, 1u);
  EXPECT_EQ(two[1].address.text(), "2001:db8::");
  EXPECT_EQ(two[1].bits, 64u);
  EXPECT_EQ(two[1].seen, 2u);
}

TEST(HeavySources, WhatWasCountedAtSeveralPlacesIsOne) {
  const IpAddress a = IpAddress::v4(1), b = IpAddress::v4(2);
  const std::vector<HeavySources::Source> all = heaviest_of({{a, 32, 3, 1}, {b, 32, 4, 0}, {a, 32, 2, 1}}, 9);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].address, a);
  EXPECT_EQ(all[0].seen, 5u);
  EXPECT_EQ(all[0].refused, 2u);
}

// Ten that come often among as many as there may be that come once.
TEST(HeavySources, WhoeverComesOftenIsThereHoweverManyOthersCome) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  HeavySources heavy(kSource, kKey);
  std::map<IpAddress, std::uint64_t> came;
  for (int i = 0; i < 400'000; ++i) {
    const bool is_heavy = random() % 10 == 0;  // one in a hundred for each of the ten
    const IpAddress address = IpAddress::v4(is_heavy ? static_cast<std::uint32_t>(random() % 10) : random());
    ++came[address];
    heavy.on_connection(address, Fate::LetIn);
  }
  const std::vector<HeavySources::Source> all = heaviest_of(heavy.sources(), 10'000);
  EXPECT_LE(all.size(), 1024u);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_LT(all[i].address.word(0), 10u) << i;
    EXPECT_GT(all[i].seen, came[all[i].address] * 9 / 10) << i;
  }
  for (const HeavySources::Source& source : all) EXPECT_LE(source.seen, came[source.address]);
}

}  // namespace
}  // namespace holdfast
