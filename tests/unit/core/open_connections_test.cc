#include "core/open_connections.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr HashKey kKey{0x01234567, 0x89abcdef};

ConnectionEnds from_port(std::uint16_t port) {
  return {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("203.0.113.7"), 80, port};
}
OpenConnections::Connection connection(std::uint16_t port, std::uint64_t group) {
  return {from_port(port), group, port * 10U};
}
std::vector<std::uint64_t> notes(const std::vector<OpenConnections::Connection>& connections) {
  std::vector<std::uint64_t> notes;
  for (const OpenConnections::Connection& each : connections) notes.push_back(each.note);
  return notes;
}

TEST(OpenConnections, TheEndsOfOneAreReadBackAsTheyWereTold) {
  for (const char* const local : {"192.0.2.1", "2001:db8::1"}) {
    const ConnectionEnds ends{*IpAddress::parse(local), *IpAddress::parse("203.0.113.7"), 80, 65'535};
    EXPECT_EQ(to_text(ends), std::string(local) + " 80 203.0.113.7 65535");
    EXPECT_EQ(parse_ends(to_text(ends)), ends);
  }
  for (const char* const junk : {"", "192.0.2.1 80 203.0.113.7", "192.0.2.1 80 203.0.113.7 65536",
                                 "192.0.2.1 80 203.0.113.7 1 ", "192.0.2.1 80 x 1", "192.0.2.1 -1 203.0.113.7 1"}) {
    EXPECT_EQ(parse_ends(junk), std::nullopt) << junk;
  }
}

TEST(OpenConnections, SomeAreTold) {
  OpenConnections open(kKey);
  for (const std::uint16_t port : {1, 2, 3}) EXPECT_FALSE(open.add(connection(port, 7)));
  EXPECT_THAT(notes(open.some(99)), UnorderedElementsAre(10, 20, 30));
  EXPECT_EQ(open.some(2).size(), 2u);
}

TEST(OpenConnections, OfAGroupAreAskedForInTurn) {
  OpenConnections open(kKey);
  for (const std::uint16_t port : {1, 2, 3}) EXPECT_FALSE(open.add(connection(port, 7)));
  EXPECT_FALSE(open.add(connection(4, 8)));
  EXPECT_THAT(notes(open.next_of(7, 2)), ElementsAre(10, 20));
  EXPECT_THAT(notes(open.next_of(7, 2)), ElementsAre(30, 10));
  EXPECT_THAT(notes(open.next_of(7, 99)), ElementsAre(20, 30, 10)) << "each once";
  EXPECT_THAT(notes(open.next_of(8, 99)), ElementsAre(40));
  EXPECT_THAT(open.next_of(9, 99), testing::IsEmpty());
}

TEST(OpenConnections, TheSameEndsAgainMeanThatTheFirstWasClosed) {
  OpenConnections open(kKey);
  open.add(connection(1, 7));
  const auto before = open.add({from_port(1), 8, 5});
  ASSERT_TRUE(before);
  EXPECT_EQ(before->group, 7U);
  EXPECT_THAT(open.next_of(7, 9), testing::IsEmpty());
  EXPECT_THAT(notes(open.next_of(8, 9)), ElementsAre(5));
  EXPECT_EQ(open.size(), 1U);
}

TEST(OpenConnections, WhatIsRemovedIsAskedForNoMore) {
  OpenConnections open(kKey);
  for (const std::uint16_t port : {1, 2, 3}) open.add(connection(port, 7));
  EXPECT_TRUE(open.remove(from_port(1)));
  EXPECT_FALSE(open.remove(from_port(1)));
  EXPECT_THAT(notes(open.next_of(7, 9)), ElementsAre(20, 30));
  EXPECT_THAT(notes(open.next(9)), UnorderedElementsAre(20, 30));
}

TEST(OpenConnections, AllAreAskedForInTurn) {
  OpenConnections open(kKey);
  for (std::uint16_t port = 1; port <= 10; port++) open.add(connection(port, port % 3));
  std::multiset<std::uint64_t> seen;
  for (int i = 0; i < 5; i++) {
    for (const std::uint64_t note : notes(open.next(4))) seen.insert(note);
  }
  for (std::uint64_t port = 1; port <= 10; port++) EXPECT_EQ(seen.count(port * 10), 2U);
}

// Against a map that does the same slowly.
TEST(OpenConnections, AnyHistoryAgreesWithAPlainOne) {
  std::mt19937 random(random_seed());
  OpenConnections open(kKey);
  std::map<std::uint16_t, std::uint64_t> plain;  // port to group
  for (int step = 0; step < 20'000; step++) {
    const auto port = static_cast<std::uint16_t>(random() % 200);
    const std::uint64_t group = random() % 5;
    if (random() % 2 == 0) {
      EXPECT_EQ(open.add(connection(port, group)).has_value(), plain.count(port) == 1);
      plain[port] = group;
    } else {
      EXPECT_EQ(open.remove(from_port(port)).has_value(), plain.erase(port) == 1);
    }
    ASSERT_EQ(open.size(), plain.size());
    std::multiset<std::uint64_t> expected;
    for (const auto& [each, of] : plain) {
      if (of == group) expected.insert(each * 10U);
    }
    const std::vector<std::uint64_t> found = notes(open.next_of(group, 1000));
    ASSERT_EQ(std::multiset<std::uint64_t>(found.begin(), found.end()), expected) << "step " << step;
  }
}

}  // namespace
}  // namespace holdfast
