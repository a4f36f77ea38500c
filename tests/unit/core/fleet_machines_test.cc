#include "core/fleet_machines.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/stream_backlog.h"

namespace holdfast {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using News = FleetMachines::News;

const TimePoint kStart{seconds(1000)};

FleetMachine machine(const std::string& name, std::vector<bool> serving) {
  return {name, name + ":place", {{"chat", std::move(serving)}}};
}

TEST(PlaceInFleet, KeysAreSpreadOverAllSlotsThatServe) {
  const std::vector<bool> oak = {true, true};
  const std::vector<bool> elm = {true, false, true};
  const std::vector<FleetCandidate> both = {{1, "oak", &oak}, {2, "elm", &elm}};
  std::map<std::pair<std::uint64_t, std::uint32_t>, int> found;
  for (int key = 0; key < 4000; key++) {
    const std::optional<FleetSlot> place = place_in_fleet("room " + std::to_string(key), both);
    ASSERT_TRUE(place);
    found[{place->node, place->slot.value}]++;
  }
  EXPECT_EQ(found.size(), 4u) << "elm's slot 1 does not serve";
  for (const auto& [slot, keys] : found) EXPECT_NEAR(keys, 1000, 150);
}

TEST(PlaceInFleet, AllFindTheSameInWhateverOrderTheyKnowEachOther) {
  const std::vector<bool> two = {true, true};
  const std::vector<FleetCandidate> some = {{1, "oak", &two}, {2, "elm", &two}, {3, "ash", &two}};
  std::vector<FleetCandidate> others = {some[2], some[0], some[1]};
  for (FleetCandidate& candidate : others) candidate.node += 10;  // every machine knows itself by another number
  for (int key = 0; key < 200; key++) {
    const std::string text = std::to_string(key);
    EXPECT_EQ(place_in_fleet(text, some)->node + 10, place_in_fleet(text, others)->node);
    EXPECT_EQ(place_in_fleet(text, some)->slot, place_in_fleet(text, others)->slot);
  }
}

TEST(PlaceInFleet, WhoGoesTakesOnlyItsOwnKeys) {
  const std::vector<bool> two = {true, true};
  const std::vector<FleetCandidate> before = {{1, "oak", &two}, {2, "elm", &two}, {3, "ash", &two}};
  const std::vector<FleetCandidate> after = {before[0], before[2]};
  for (int key = 0; key < 500; key++) {
    const FleetSlot was = *place_in_fleet(std::to_string(key), before);
    if (was.node == 2) continue;
    EXPECT_EQ(*place_in_fleet(std::to_string(key), after), was);
  }
  EXPECT_EQ(place_in_fleet("a", {}), std::nullopt);
}

TEST(FleetMachines, TakeLargeMessagesIfTheySaySo) {
  FleetMachines machines(seconds(6));
  FleetMachine newer = machine("elm", {});
  newer.largest = 1000;
  (void)machines.on_beat(1, machine("oak", {}), kStart);
  (void)machines.on_beat(2, newer, kStart);
  EXPECT_FALSE(machines.takes(1, 1));
  EXPECT_TRUE(machines.takes(2, 1000));
  EXPECT_FALSE(machines.takes(2, 1001));
  EXPECT_FALSE(machines.takes(3, 1)) << "nobody";
}

TEST(FleetMachines, AreThereWhileTheyBeat) {
  FleetMachines machines(seconds(6));
  EXPECT_EQ(machines.on_beat(1, machine("oak", {true}), kStart), News::Newcomer);
  EXPECT_EQ(machines.on_beat(1, machine("oak", {true}), kStart + seconds(2)), News::Nothing);
  EXPECT_EQ(machines.on_beat(1, machine("oak", {false}), kStart + seconds(4)), News::Changed);
  EXPECT_EQ(machines.candidates("chat").size(), 1u);
  EXPECT_THAT(machines.candidates("game"), IsEmpty());
  machines.on_heard(1, kStart + seconds(5));  // a message shows that it lives, too
  EXPECT_THAT(machines.take_gone(kStart + seconds(11)), IsEmpty());
  EXPECT_THAT(machines.take_gone(kStart + seconds(12)), ElementsAre(Pair(1, "oak")));
  EXPECT_THAT(machines.take_gone(kStart + seconds(13)), IsEmpty());
  EXPECT_FALSE(machines.knows(1));
}

TEST(FleetMachines, ARestartedOneTakesItsPlace) {
  FleetMachines machines(seconds(6));
  (void)machines.on_beat(1, machine("oak", {true}), kStart);
  (void)machines.on_beat(2, machine("elm", {true}), kStart);
  EXPECT_EQ(machines.on_beat(3, machine("oak", {true}), kStart + seconds(1)), News::Newcomer);
  EXPECT_THAT(machines.take_gone(kStart + seconds(1)), ElementsAre(Pair(1, "oak")));
  EXPECT_EQ(machines.all().size(), 2u);
}

TEST(StreamBacklog, KeepsWhatIsNotAcknowledgedAndIsBounded) {
  StreamBacklog backlog(100);
  for (std::uint64_t number = 1; number <= 10; number++) EXPECT_EQ(backlog.push(number, std::string(10, 'x')), 0u);
  EXPECT_EQ(backlog.push(11, std::string(25, 'x')), 3u) << "the oldest have to go";
  EXPECT_EQ(backlog.size(), 8u);
  EXPECT_EQ(backlog.begin(35, 100).size(), 4u) << "4 to 7";
  EXPECT_TRUE(backlog.begin(35, 100).empty()) << "one batch at a time";
  EXPECT_EQ(backlog.push(12, std::string(20, 'x')), 2u) << "the oldest that are not on their way";
  EXPECT_EQ(backlog.messages()[3]->number, 7u);
  EXPECT_EQ(backlog.messages()[4]->number, 10u);
  backlog.on_kept();
  EXPECT_EQ(backlog.bytes(), 55u);
  (void)backlog.begin(1000, 100);
  backlog.on_kept();
  EXPECT_EQ(backlog.bytes(), 0u);
  EXPECT_EQ(backlog.push(13, std::string(1000, 'x')), 0u) << "one that is larger than all is kept alone";
}

TEST(StreamBacklog, WhatIsRefusedComesAgainBeforeAnythingNewer) {
  StreamBacklog backlog(1000);
  for (std::uint64_t number = 1; number <= 5; number++) (void)backlog.push(number, std::string(10, 'x'));
  const auto numbers = [](std::span<const StreamBacklog::Message> batch) {
    std::vector<std::uint64_t> found;
    for (const StreamBacklog::Message& message : batch) found.push_back(message.number);
    return found;
  };
  EXPECT_THAT(numbers(backlog.begin(1000, 2)), ElementsAre(1, 2));
  (void)backlog.push(6, std::string(10, 'x'));
  backlog.on_refused();
  EXPECT_THAT(numbers(backlog.begin(1000, 3)), ElementsAre(1, 2, 3));
  backlog.on_kept();
  EXPECT_THAT(numbers(backlog.begin(1000, 100)), ElementsAre(4, 5, 6));
}

}  // namespace
}  // namespace holdfast
