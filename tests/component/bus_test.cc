// The bus, with workers that read when the test wants it.
#include "bus/bus.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "component/bus_station.h"
#include "support/descriptor_limit.h"

namespace holdfast {
namespace {

using testing::Each;
using testing::SizeIs;

// Publishes until somebody who does not read has more waiting than his channel holds.
void fill_channel(BusStation& station, std::size_t publisher, const std::string& topic) {
  const auto waits = [&] {
    std::uint64_t waiting = 0;
    for (const BusMemberStatus& member : station.bus().status().members) waiting += member.waiting;
    return waiting > 0;
  };
  for (int i = 0; i < 1000 && !waits(); i++) {
    station.publish(publisher, {{topic, std::string(60000, 'x')}});
    station.settle(publisher);
  }
  EXPECT_TRUE(waits());
}

TEST(Bus, WhoIsTakenOffInTheMiddleOfAFrameCostsTheOthersNothing) {
  BusConfig config;
  config.queue = 64;
  config.full = BusFull::Disconnect;
  BusStation station(config);
  const std::size_t slow = station.add({"fill", "a"});
  const std::size_t good = station.add({"a", "b"});
  const std::size_t other = station.add({"b"});
  const std::size_t publisher = station.add();
  fill_channel(station, publisher, "fill");
  const std::string text(8000, 't');
  station.publish(publisher, {{"a", text}, {"b", "1"}, {"a", text}, {"b", "2"}, {"a", text}, {"b", "3"}});
  EXPECT_TRUE(station.hears(good, [](const auto& heard) { return heard.messages.size() == 6; }))
      << station.heard(good).messages.size();
  EXPECT_THAT(station.heard(good).of("b"), testing::ElementsAre("1", "2", "3"));
  EXPECT_THAT(station.heard(good).of("a"), SizeIs(3));
  EXPECT_TRUE(station.hears(other, [](const auto& heard) { return heard.messages.size() == 3; }))
      << station.heard(other).messages.size();
  EXPECT_TRUE(station.hears(slow, [](const auto& heard) { return heard.ended; }));
  EXPECT_EQ(station.bus().status().disconnected, 1u);
}

TEST(Bus, EveryCallEndsHoweverFullTheCallersQueueIs) {
  for (const BusFull full : {BusFull::DropOldest, BusFull::DropNewest}) {
    BusConfig config;
    config.queue = 64;
    config.full = full;
    BusStation station(config);
    const std::size_t caller = station.add({"fill"});
    const std::size_t callee = station.add();
    const std::size_t publisher = station.add();
    std::vector<BusStation::Bytes> calls;
    for (std::uint64_t call = 1; call <= 3; call++) {
      calls.push_back(
          encode_bus_record({HF_BUS_CALL, "main", BusStation::key_of(callee), "?"}, {.status = 600'000, .call = call}));
    }
    station.say(caller, BusStation::frame_of(calls));
    ASSERT_TRUE(station.hears(callee, [](const auto& heard) { return heard.messages.size() == 3; }));
    const auto answer = [&](std::size_t call, const std::string& text) {
      station.say(callee, BusStation::frame_of({encode_bus_record(
                              {HF_BUS_REPLY, "", "", text}, {.call = station.heard(callee).messages[call].call})}));
      station.settle(callee);
    };
    fill_channel(station, publisher, "fill");
    answer(0, "yes");
    for (int i = 0; i < 5; i++) station.publish(publisher, {{"fill", std::string(60000, 'x')}});
    station.settle(publisher);
    answer(1, std::string(60000, 'y'));
    station.remove(callee);
    ASSERT_TRUE(station.hears(caller, [](const auto& heard) { return heard.replies().size() == 3; }))
        << station.heard(caller).replies().size();
    const auto replies = station.heard(caller).replies();
    EXPECT_EQ(replies[0].data, "yes");
    EXPECT_EQ(replies[1].call, 2u);
    EXPECT_EQ(replies[1].status, full == BusFull::DropOldest ? 0 : -ENOBUFS);
    EXPECT_EQ(replies[1].data.size(), full == BusFull::DropOldest ? 60000u : 0u);
    EXPECT_EQ(replies[2].status, -ECONNRESET);
    EXPECT_GT(station.heard(caller).lost, 0u);
  }
}

TEST(Bus, AnAnswerIsNotDroppedWithTheMessageBesideIt) {
  BusConfig config;
  config.queue = 64;
  config.full = BusFull::DropNewest;
  BusStation station(config);
  const std::size_t caller = station.add({"fill"});
  const std::size_t callee = station.add();
  const std::size_t publisher = station.add();
  station.say(caller, BusStation::frame_of({encode_bus_record({HF_BUS_CALL, "main", BusStation::key_of(callee), "?"},
                                                              {.status = 600'000, .call = 1})}));
  ASSERT_TRUE(station.hears(callee, [](const auto& heard) { return heard.messages.size() == 1; }));
  fill_channel(station, publisher, "fill");
  station.say(
      callee,
      BusStation::frame_of(
          {encode_bus_record({HF_BUS_SEND, "main", BusStation::key_of(caller), std::string(8000, 'n')}, {.call = 0}),
           encode_bus_record({HF_BUS_REPLY, "", "", "yes"}, {.call = station.heard(callee).messages[0].call})}));
  station.settle(callee);
  ASSERT_TRUE(station.hears(caller, [](const auto& heard) { return heard.replies().size() == 1; }));
  EXPECT_EQ(station.heard(caller).replies()[0].data, "yes");
  EXPECT_EQ(station.heard(caller).lost, 1u);
}

TEST(Bus, WhoTakesUpNoAnswersIsNotHeardUntilHeDoes) {
  BusStation station;
  const std::size_t caller = station.add();
  constexpr std::size_t kCalls = 100'000;  // many times what the channels hold
  constexpr std::size_t kInFrame = 1000;
  const BusStation::Bytes call = encode_bus_record({HF_BUS_CALL, "nowhere", "0", ""}, {.status = 1000, .call = 1});
  const BusStation::Bytes frame = BusStation::frame_of(std::vector(kInFrame, call));
  std::size_t said = 0;
  const auto say_more = [&] {
    if (said == kCalls) return;
    const Result<SendOutcome> sent = send_with_fds(station.place(caller).worker_end(), frame, {});
    if (sent && *sent == SendOutcome::Sent) said += kInFrame;
  };
  for (int turn = 0; turn < 1000; turn++) {  // it takes a frame in a turn
    say_more();
    station.loop().poll();
  }
  EXPECT_LT(said, kCalls);
  EXPECT_LE(station.bus().status().members[0].waiting, 4096 + kInFrame);
  EXPECT_TRUE(station.hears(caller, [&](const auto& heard) {
    say_more();
    return heard.messages.size() == kCalls;
  })) << station.heard(caller).messages.size();
}

TEST(Bus, AMemberIsWhoIsOnTheBus) {
  BusStation station;
  const std::size_t looks_on = station.add();
  const std::size_t other = station.add_silent();
  EXPECT_TRUE(station.hears(looks_on, [](const auto& heard) { return heard.serving == std::vector{true, false}; }));
  const std::size_t third = station.add();
  EXPECT_TRUE(station.hears(looks_on, [](const auto& heard) {
    return heard.serving == std::vector{true, false, true};
  }));
  station.say(third, BusStation::Bytes(20));  // no frame
  EXPECT_TRUE(station.hears(looks_on, [](const auto& heard) {
    return heard.serving == std::vector{true, false, false};
  }));
  EXPECT_TRUE(station.bus().status().members.back().is_off);
  station.say(looks_on, BusStation::frame_of({encode_bus_record(
                            {HF_BUS_SEND, "main", BusStation::key_of(third), "hello"}, {.call = 9})}));
  ASSERT_TRUE(station.hears(looks_on, [](const auto& heard) { return heard.replies().size() == 1; }));
  EXPECT_EQ(station.heard(looks_on).replies()[0].status, -EHOSTUNREACH);
  station.set_serving(looks_on, false);
  EXPECT_TRUE(station.hears(looks_on, [](const auto& heard) { return heard.serving == std::vector(3, false); }));
  (void)other;
}

TEST(Bus, WhoDoesNotReadIsToldOfPoolsByTheNewestListAlone) {
  BusStation station;
  const std::size_t silent = station.add();
  const std::size_t changes = station.add();
  constexpr unsigned kChanges = 10'001;  // many times what a channel holds
  for (unsigned i = 0; i < kChanges; i++) {
    station.set_serving(changes, i % 2 == 1);
    station.loop().poll();
  }
  station.set_serving(silent, false);  // which the newest list alone says
  EXPECT_TRUE(station.hears(silent, [](const auto& heard) { return heard.serving == std::vector{false, false}; }));
  EXPECT_LT(station.heard(silent).lists, kChanges / 2);
}

BusConfig retaining(unsigned messages) {
  BusConfig config;
  config.retain = {{"**", messages}};
  return config;
}

// What was heard begins somewhere and has no gap, and nothing twice.
std::string fault_of(const std::vector<BusStation::Message>& messages) {
  for (std::size_t i = 1; i < messages.size(); i++) {
    const std::uint64_t before = messages[i - 1].sequence;
    if (messages[i].sequence != before + 1) {
      return std::to_string(messages[i].sequence) + " after " + std::to_string(before);
    }
  }
  return "";
}

TEST(Bus, WhatIsKeptIsReplayedWholeHoweverMuchItIs) {
  for (const BusFull full : {BusFull::DropOldest, BusFull::DropNewest, BusFull::Disconnect}) {
    BusConfig config = retaining(100'000);
    config.queue = 256;
    config.full = full;
    BusStation station(config);
    const std::size_t publisher = station.add();
    constexpr std::size_t kFrames = 200;
    constexpr std::size_t kInFrame = 15;
    const std::vector<std::pair<std::string, std::string>> frame(kInFrame, {"a", std::string(4096, 'x')});
    for (std::size_t i = 0; i < kFrames; i++) station.publish(publisher, frame);
    station.settle(publisher);
    const std::size_t later = station.add();
    station.subscribe(later, "a", 0);
    station.publish(publisher, frame);  // in the midst of it
    station.settle(publisher);
    const std::size_t all = (kFrames + 1) * kInFrame;
    EXPECT_TRUE(station.hears(later, [&](const auto& heard) { return heard.messages.size() >= all; }))
        << station.heard(later).messages.size() << " of " << all;
    EXPECT_EQ(station.heard(later).messages.size(), all);
    EXPECT_EQ(fault_of(station.heard(later).messages), "");
    EXPECT_EQ(station.heard(later).lost, 0u);
    EXPECT_EQ(station.bus().status().disconnected, 0u);
  }
}

TEST(Bus, AReplayStandsBehindWhatWaitsAndBeforeWhatComes) {
  BusStation station(retaining(100));
  const std::size_t publisher = station.add();
  const std::size_t slow = station.add({"fill", "live"});
  station.publish(publisher, {{"kept", "1"}, {"kept", "2"}});
  fill_channel(station, publisher, "fill");
  station.publish(publisher, {{"live", "before"}});
  station.settle(publisher);
  station.subscribe(slow, "kept", 0);
  station.publish(publisher, {{"live", "after"}, {"kept", "3"}});
  EXPECT_TRUE(station.hears(slow, [](const auto& heard) { return heard.of("kept").size() == 3; }));
  std::vector<std::string> order;
  for (const BusStation::Message& message : station.heard(slow).messages) {
    if (message.name != "fill") order.push_back(message.data);
  }
  EXPECT_THAT(order, testing::ElementsAre("before", "1", "2", "after", "3"));
}

TEST(Bus, WhoAsksForMoreThanIsKeptIsTold) {
  BusStation station(retaining(10));
  const std::size_t publisher = station.add();
  station.publish(publisher, std::vector<std::pair<std::string, std::string>>(30, {"a", "x"}));
  station.settle(publisher);
  const auto asks = [&](std::uint64_t after) {
    const std::size_t worker = station.add();
    station.subscribe(worker, "a", after);
    const std::string end = "end of " + std::to_string(after);
    station.publish(publisher, {{"a", end}});
    EXPECT_TRUE(station.hears(
        worker, [&](const auto& heard) { return !heard.messages.empty() && heard.messages.back().data == end; }));
    station.remove(worker);
    return station.heard(worker);
  };
  EXPECT_EQ(asks(0).incomplete, 0u) << "all that is kept";
  const BusStation::Heard some = asks(5);
  EXPECT_EQ(some.incomplete, 1u);
  EXPECT_EQ(some.messages.size(), 11u);
  EXPECT_EQ(asks(25).incomplete, 0u);
  EXPECT_EQ(asks(1'000'000).incomplete, 1u) << "of another supervisor";
}

BusStation::Bytes large_record(std::uint16_t kind, const std::string& name, std::uint32_t size) {
  BusStation::Bytes record = encode_bus_record({kind, name, "", ""}, {});
  hf_bus_record raw{};
  std::memcpy(&raw, record.data(), sizeof raw);
  raw.flags = HF_BUS_LARGE;
  raw.size = size;
  std::memcpy(record.data(), &raw, sizeof raw);
  return record;
}

TEST(Bus, WhoSendsALargeMessageThatFindsNoDescriptorHereIsToldAndStays) {
  BusStation station;
  const std::size_t sender = station.add();
  const std::size_t hears = station.add({"**"});
  constexpr std::uint32_t kSize = 100'000;
  const UniqueFd memory(::memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(memory.get(), kSize), 0);
  ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
  const BusStation::Bytes frame = BusStation::frame_of({encode_bus_record({HF_BUS_PUBLISH, "a", "", "1"}, {}),
                                                        large_record(HF_BUS_PUBLISH, "large", kSize),
                                                        encode_bus_record({HF_BUS_PUBLISH, "a", "", "2"}, {})});
  const int fds[] = {memory.get()};
  {
    const test::NoDescriptors none;
    station.say(sender, frame, fds);
    ASSERT_TRUE(station.hears(sender, [](const auto& heard) { return heard.replies().size() == 1; }));
  }
  EXPECT_EQ(station.heard(sender).replies()[0].status, -EMFILE);
  EXPECT_TRUE(station.hears(hears, [](const auto& heard) { return heard.of("a").size() == 2; }));
  station.say(sender, frame, fds);
  EXPECT_TRUE(station.hears(hears, [](const auto& heard) { return heard.of("large").size() == 1; }));
  EXPECT_EQ(station.bus().status().disconnected, 0u);
}

TEST(Bus, WhoAsksForALargeMessageIsToldThatItIsNotKept) {
  BusStation station(retaining(10));
  const std::size_t publisher = station.add();
  constexpr std::uint32_t kSize = 100'000;
  const UniqueFd memory(::memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(memory.get(), kSize), 0);
  ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
  const int fds[] = {memory.get()};
  station.say(publisher,
              BusStation::frame_of({encode_bus_record({HF_BUS_PUBLISH, "a", "", "1"}, {}),
                                    large_record(HF_BUS_PUBLISH, "a", kSize),
                                    encode_bus_record({HF_BUS_PUBLISH, "a", "", "3"}, {})}),
              fds);
  station.settle(publisher);
  for (const std::uint64_t after : {1U, 2U}) {
    const std::size_t worker = station.add();
    station.subscribe(worker, "a", after);
    EXPECT_TRUE(station.hears(worker, [](const auto& heard) { return heard.messages.size() == 1; }));
    EXPECT_EQ(station.heard(worker).incomplete, after == 1 ? 1u : 0u) << after;
  }
}

TEST(Bus, WhatWaitsForOneWhoLeavesCountsAsDropped) {
  for (const bool by_breach : {false, true}) {
    BusStation station(retaining(10));
    const std::size_t publisher = station.add();
    const std::size_t slow = station.add({"fill"});
    fill_channel(station, publisher, "fill");
    station.subscribe(slow, "**", 0);  // and some more
    if (by_breach) station.say(slow, BusStation::Bytes(20));
    if (!by_breach) station.remove(slow);
    EXPECT_TRUE(run_until(station.loop(), [&] { return station.bus().status().dropped > 1; }));
    const BusStatus status = station.bus().status();
    // Those that went nowhere, too: whoever sent them has been answered.
    EXPECT_EQ(status.delivered + status.dropped, status.published + status.retained + status.undelivered);
  }
}

TEST(Bus, WhatABreachFollowsIsHeard) {
  BusStation station;
  const std::size_t sender = station.add();
  const std::size_t hears = station.add({"**"});
  station.say(sender, BusStation::frame_of({encode_bus_record({HF_BUS_PUBLISH, "a", "", "1"}, {}),
                                            encode_bus_record({HF_BUS_PUBLISH, "a", "", "2"}, {}),
                                            large_record(HF_BUS_PUBLISH, "a", 100'000),  // without its memory
                                            encode_bus_record({HF_BUS_PUBLISH, "a", "", "3"}, {})}));
  EXPECT_TRUE(station.hears(sender, [](const auto& heard) { return heard.ended; }));
  EXPECT_TRUE(station.hears(hears, [](const auto& heard) { return !heard.messages.empty(); }));
  EXPECT_THAT(station.heard(hears).of("a"), testing::ElementsAre("1", "2"));
}

TEST(Bus, WhoIsTakenOffBecauseHeIsSlowIsHeardToTheEndOfHisFrame) {
  BusConfig config;
  config.queue = 64;
  config.full = BusFull::Disconnect;
  BusStation station(config);
  const std::size_t slow = station.add({"fill", "a"});
  const std::size_t other = station.add({"b"});
  const std::size_t publisher = station.add();
  fill_channel(station, publisher, "fill");
  const std::string text(8000, 't');
  station.publish(slow, {{"a", text}, {"b", "1"}, {"a", text}, {"b", "2"}});
  EXPECT_TRUE(station.hears(slow, [](const auto& heard) { return heard.ended; }));
  EXPECT_TRUE(station.hears(other, [](const auto& heard) { return heard.messages.size() == 2; }))
      << station.heard(other).messages.size();
}

TEST(Bus, WhoClosesHisEndHasBrokenNothing) {
  BusStation station;
  const std::size_t worker = station.add();
  ASSERT_EQ(::shutdown(station.place(worker).worker_end().get(), SHUT_RDWR), 0);
  EXPECT_TRUE(run_until(station.loop(), [&] { return station.bus().status().members[0].is_off; }));
  EXPECT_EQ(station.bus().status().disconnected, 0u);
}

// Turns of the loop in which the bus read nothing, although something was there to be read.
int idle_turns(BusStation& station, std::size_t publisher) {
  constexpr std::uint64_t kFrames = 50;
  constexpr int kTooMany = 1'000'000;
  const std::uint64_t wanted = station.bus().status().published + kFrames;
  const auto frame = BusStation::frame_of({encode_bus_record({HF_BUS_PUBLISH, "a", "", std::string(500, 't')}, {})});
  for (std::uint64_t i = 0; i < kFrames; i++) {
    const Result<SendOutcome> sent = send_with_fds(station.place(publisher).worker_end(), frame, {});
    EXPECT_TRUE(sent && *sent == SendOutcome::Sent);
  }
  int idle = 0;
  for (std::uint64_t read = station.bus().status().published; read < wanted && idle < kTooMany;) {
    station.loop().poll();
    if (std::exchange(read, station.bus().status().published) == read) idle++;
  }
  EXPECT_LT(idle, kTooMany);
  return idle;
}

TEST(Bus, ItRestsWhileClientsComeAndOnlyThen) {
  BusStation station;
  (void)station.add({"a"});
  const std::size_t publisher = station.add();
  EXPECT_LE(idle_turns(station, publisher), 2) << "before the first frame";
  station.let_clients_come();
  EXPECT_GT(idle_turns(station, publisher), 25) << "half of them, at least, behind a rest";
}

// Between any two turns of the bus there is a rest then: each must end, whoever was told to wait for it, for his messages or for
// what he has asked to hear again.
TEST(Bus, WhileClientsComeItRestsAndGoesOn) {
  BusConfig config;
  config.retain = {{"kept", 500}};
  BusStation station(config);
  station.let_clients_come();
  const std::size_t subscriber = station.add({"a", "b"});
  const std::vector<std::size_t> publishers = {station.add(), station.add()};
  constexpr int kFrames = 400;
  const std::string text(500, 't');
  for (int i = 0; i < kFrames; i++) {
    station.publish(publishers[0], {{"a", std::to_string(i)}, {"kept", text}});
    station.publish(publishers[1], {{"b", std::to_string(i)}, {"kept", text}});
  }
  const auto all = [](const BusStation::Heard& heard) { return heard.messages.size() == std::size_t{2} * kFrames; };
  ASSERT_TRUE(station.hears(subscriber, all)) << station.heard(subscriber).messages.size();
  EXPECT_EQ(station.heard(subscriber).lost, 0U);
  for (const char* const topic : {"a", "b"}) {
    const std::vector<std::string> heard = station.heard(subscriber).of(topic);
    for (int i = 0; i < kFrames; i++) ASSERT_EQ(heard[static_cast<std::size_t>(i)], std::to_string(i)) << topic;
  }
  const std::size_t late = station.add();
  station.subscribe(late, "kept", 0);
  EXPECT_TRUE(station.hears(late, [](const auto& heard) { return heard.messages.size() == 500; }))
      << station.heard(late).messages.size();
}

}  // namespace
}  // namespace holdfast
