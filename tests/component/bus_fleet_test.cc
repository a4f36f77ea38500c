// The bus between machines, of which the other one is the test, at a Redis of its own.
#include <gmock/gmock.h>
#include <holdfast/bus_channel.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/fleet_parts.h"
#include "component/bus_station.h"
#include "component/scripted_redis.h"
#include "support/descriptor_limit.h"
#include "wire/fleet_beat.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kTheirs = 9;
constexpr std::uint32_t kLarge = 100'000;

class BusFleetTest : public testing::Test {
 protected:
  void SetUp() override {
    FleetLink::Settings settings;
    settings.url.path = redis.path();
    settings.fleet = "shop";
    settings.machine = settings.place = "oak";
    station.bus().connect_fleet(std::move(settings));
    ASSERT_TRUE(run_until(station.loop(), [&] { return redis.subscribers() == 1 && is_connected(); }));
    worker = station.add();
  }
  [[nodiscard]] bool is_connected() { return station.bus().status().fleet.trouble.empty(); }
  void ask_largely(std::uint64_t call) {
    FleetMessage part{FleetMessage::Kind::Call, kTheirs, call, "main", text, "key"};
    part.status = 40'000;  // milliseconds
    part.size = kLarge;
    for (; part.offset < kLarge; part.offset += HF_BUS_MAX_INLINE) {
      part.data = std::string_view(text).substr(part.offset, HF_BUS_MAX_INLINE);
      redis.publish("shop:0:bus:0000000000000001", encode(part));
    }
  }
  void answer_largely() {
    ASSERT_TRUE(station.hears(worker, [](const auto& heard) { return !heard.messages.empty(); }));
    const BusStation::Message asked = station.heard(worker).messages.back();
    EXPECT_EQ(asked.kind, HF_BUS_CALL);
    EXPECT_TRUE(asked.is_large);
    Result<UniqueFd> memory = make_memory("answer");
    ASSERT_TRUE(memory && append_to_memory(*memory, text) && seal_memory(*memory));
    const int fds[] = {memory->get()};
    station.say(worker,
                BusStation::frame_of({encode_bus_record({HF_BUS_REPLY, "", "", "", kLarge}, {.call = asked.call})}),
                fds);
  }
  // To the call of that number, by what the other machine hears; its data, if it has all come.
  struct Answer {
    std::int32_t status;
    std::string data;
  };
  [[nodiscard]] std::optional<Answer> answer_to(std::uint64_t call) {
    std::optional<Answer> found;
    const auto has_come = [&] {
      FleetParts parts;
      for (const auto& words : redis.heard()) {
        if (words[0] != "PUBLISH" || words[1] != "shop:0:bus:0000000000000009") continue;
        const auto message = decode_fleet_message(words[2]);
        if (message->kind != FleetMessage::Kind::Reply || message->sequence != call) continue;
        if (!message->is_part()) return found = Answer{message->status, std::string(message->data)}, true;
        const auto whole = parts.add(*message, TimePoint());
        if (whole) return found = Answer{0, *read_memory(*whole->memory.fd, 0, whole->memory.size)}, true;
      }
      return false;
    };
    (void)run_until(station.loop(), has_come);
    return found;
  }

  static BusConfig keeping() {
    BusConfig config;
    config.retain = {{"kept", 5}};
    return config;
  }
  const std::string text = std::string(kLarge, 'x');
  BusStation station{keeping()};
  test::ScriptedRedis redis{station.loop()};
  std::size_t worker = 0;
};

TEST_F(BusFleetTest, ALargeQuestionWithoutADescriptorIsAnsweredSo) {
  {
    const test::NoDescriptors none;
    ask_largely(5);
    ASSERT_TRUE(answer_to(5));
  }
  EXPECT_EQ(answer_to(5)->status, -EMFILE);
  EXPECT_TRUE(station.take(worker).messages.empty());
}

TEST_F(BusFleetTest, ALargeAnswerGoesToAMachineThatTakesIt) {
  ask_largely(5);
  answer_largely();
  ASSERT_TRUE(answer_to(5));
  EXPECT_EQ(answer_to(5)->status, -EMSGSIZE) << "it has not said that it does";
  const std::string about = to_json({"elm", "elm", {}, HF_BUS_MAX_MESSAGE});
  redis.publish("shop:0:bus", encode({FleetMessage::Kind::Beat, kTheirs, 0, "", about}));
  ASSERT_TRUE(run_until(station.loop(), [&] { return !station.bus().status().fleet.machines.empty(); }));
  ask_largely(6);
  ASSERT_TRUE(station.hears(worker, [](const auto& heard) { return heard.messages.size() == 2; }));
  answer_largely();
  ASSERT_TRUE(answer_to(6));
  EXPECT_TRUE(answer_to(6)->data == text);
}

TEST_F(BusFleetTest, WhatIsLargeAndComesFromAfarIsHeardAndNotKept) {
  station.subscribe(worker, "kept");
  redis.publish("shop:0:bus", encode({FleetMessage::Kind::Message, kTheirs, 1, "kept", "small"}));
  FleetMessage part{FleetMessage::Kind::Message, kTheirs, 2, "kept"};
  part.size = kLarge;
  for (; part.offset < kLarge; part.offset += HF_BUS_MAX_INLINE) {
    part.data = std::string_view(text).substr(part.offset, HF_BUS_MAX_INLINE);
    redis.publish("shop:0:bus", encode(part));
  }
  ASSERT_TRUE(station.hears(worker, [](const auto& heard) { return heard.messages.size() == 2; }));
  const BusStation::Message& message = station.heard(worker).messages[1];
  EXPECT_TRUE(message.is_large);
  EXPECT_EQ(message.kind, HF_BUS_PUBLISH);
  EXPECT_EQ(message.name, "kept");
  EXPECT_EQ(message.sequence, 2u);
  const std::size_t newcomer = station.add();
  station.subscribe(newcomer, "kept", 1);
  EXPECT_TRUE(station.hears(newcomer, [](const auto& heard) { return heard.incomplete == 1; }));
}

}  // namespace
}  // namespace holdfast
