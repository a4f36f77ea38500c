#include "bus/fleet_link.h"

#include <gmock/gmock.h>
#include <holdfast/bus_channel.h>

#include <string>
#include <vector>

#include "component/run_until.h"
#include "component/scripted_redis.h"
#include "support/descriptor_limit.h"

namespace holdfast {
namespace {

using test::ScriptedRedis;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Words = ScriptedRedis::Words;

constexpr std::uint64_t kOurs = 7;
constexpr std::uint64_t kTheirs = 9;

// A machine's link to a Redis that does what the test says. "said" goes through the stream, all else through the channels.
class FleetLinkTest : public testing::Test {
 protected:
  void connect(const SavedLink& before = {}, FleetStream::Past past = FleetStream::Past::Wanted) {
    FleetLink::Settings settings;
    settings.url.path = redis.path();
    settings.url.database = 3;
    settings.fleet = "shop";
    settings.node = kOurs;
    settings.machine = settings.place = "oak";
    settings.stream = {"said"};
    settings.stream_length = 100;
    FleetLink::Hooks hooks;
    hooks.on_message = [this](const FleetMessage& message, const SharedMemory& memory) {
      messages.push_back(memory.fd ? *read_memory(*memory.fd, 0, memory.size) : std::string(message.data));
    };
    hooks.on_history = [this](std::string_view, std::string_view data, std::uint64_t) { history.emplace_back(data); };
    hooks.on_history_end = [this] { ends_of_history++; };
    hooks.on_addressed = [this](const FleetMessage&, const SharedMemory& memory) { addressed.push_back(memory); };
    hooks.on_gone = [](std::uint64_t) {};
    hooks.on_machines = [] {};
    link.emplace(loop, std::move(settings), std::move(hooks));
    link->adopt(before, past);
  }
  void wait_until_connected() {
    ASSERT_TRUE(run_until(loop, [&] { return link->status().trouble.empty(); })) << link->status().trouble;
  }
  static std::string message(std::uint64_t node, std::uint64_t number, std::string_view data) {
    return encode({FleetMessage::Kind::Message, node, number, "said", data});
  }
  // What they publish outside of the stream, in the parts that they would send.
  void hear(std::uint64_t number, const std::string& text) {
    for (const std::string& piece : pieces_of({FleetMessage::Kind::Message, kTheirs, number, "other"}, text)) {
      redis.publish("shop:3:bus", piece);
    }
  }
  static std::vector<std::string> pieces_of(FleetMessage message, std::string_view text) {
    message.data = text;
    if (text.size() <= HF_BUS_MAX_INLINE) return {encode(message)};
    message.size = static_cast<std::uint32_t>(text.size());
    std::vector<std::string> pieces;
    for (; message.offset < message.size; message.offset += HF_BUS_MAX_INLINE) {
      message.data = text.substr(message.offset, HF_BUS_MAX_INLINE);
      pieces.push_back(encode(message));
    }
    return pieces;
  }
  static SharedMemory memory_of(std::string_view text) {
    Result<UniqueFd> memory = make_memory("test");
    EXPECT_TRUE(memory && append_to_memory(*memory, text) && seal_memory(*memory));
    return {std::make_shared<const UniqueFd>(*std::move(memory)), static_cast<std::uint32_t>(text.size())};
  }
  // Every byte is another than its neighbours, and than that of another text at its place.
  static std::string text_of(std::size_t size, std::size_t which = 0) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; i++) text[i] = static_cast<char>(i * 31 + i / 4096 + which);
    return text;
  }
  // What we have said in the channel of all, without beats: by whoever listens to it.
  [[nodiscard]] std::vector<std::string> said() const {
    FleetParts parts;
    std::vector<std::string> all;
    for (const Words& words : redis.heard()) {
      if (words[0] != "PUBLISH") continue;
      const auto message = decode_fleet_message(words[2]);
      if (message->kind != FleetMessage::Kind::Message) continue;
      if (!message->is_part()) {
        all.emplace_back(message->data);
      } else if (const auto whole = parts.add(*message, TimePoint())) {
        all.push_back(*read_memory(*whole->memory.fd, 0, whole->memory.size));
      }
    }
    return all;
  }
  // What is in the stream, of all machines.
  [[nodiscard]] std::vector<std::string> kept() const {
    std::vector<std::string> all;
    for (const std::string& bytes : redis.stream()) all.emplace_back(decode_fleet_message(bytes)->data);
    return all;
  }
  [[nodiscard]] std::size_t heard_bytes(std::string_view verb) const {
    std::size_t bytes = 0;
    for (const Words& words : redis.heard()) bytes += words[0] == verb ? words.back().size() : 0;
    return bytes;
  }

  Loop loop;
  ScriptedRedis redis{loop};
  std::vector<std::string> messages;
  std::vector<SharedMemory> addressed;
  std::vector<std::string> history;
  int ends_of_history = 0;
  std::optional<FleetLink> link;
};

TEST_F(FleetLinkTest, NamesOfChannelsAndKeysSayWhichFleetAndDatabase) {
  connect();
  wait_until_connected();
  link->publish("said", "x");
  ASSERT_TRUE(run_until(loop, [&] { return !redis.stream().empty(); }));
  const auto has = [&](const Words& begin) {
    return std::any_of(redis.heard().begin(), redis.heard().end(), [&](const Words& words) {
      return words.size() >= begin.size() && std::equal(begin.begin(), begin.end(), words.begin());
    });
  };
  EXPECT_TRUE(has({"SUBSCRIBE", "shop:3:bus"}));
  EXPECT_TRUE(has({"SUBSCRIBE", "shop:3:bus:0000000000000007"}));
  EXPECT_TRUE(has({"PUBLISH", "shop:3:bus"}));
  EXPECT_TRUE(has({"XADD", "shop:3:stream"}));
}

TEST_F(FleetLinkTest, LittleIsOnItsWayHoweverMuchWaits) {
  connect();
  wait_until_connected();
  redis.hold();
  const std::string text(10'000, 'x');
  for (int i = 0; i < 500; i++) {
    link->publish("said", text);
    link->publish("other", text);
  }
  constexpr std::size_t kLittle = 400'000;  // of five million
  ASSERT_TRUE(run_until(loop, [&] { return heard_bytes("XADD") > 0 && heard_bytes("PUBLISH") > 100'000; }));
  run_for(loop, std::chrono::milliseconds(300));
  EXPECT_LT(heard_bytes("XADD"), kLittle);
  EXPECT_LT(heard_bytes("PUBLISH"), kLittle);
  EXPECT_EQ(link->status().waiting, 500u);
  redis.release();
  EXPECT_TRUE(run_until(loop, [&] { return redis.stream().size() == 500 && link->status().waiting == 0; }));
  EXPECT_TRUE(run_until(loop, [&] { return link->status().sent == 1000; })) << link->status().sent;
  EXPECT_EQ(link->status().unsent, 0u);
}

// The others count what they miss by what a beat says: what waits behind it has not been said yet.
TEST_F(FleetLinkTest, ABeatDoesNotClaimWhatWaitsBehindIt) {
  connect();
  wait_until_connected();
  redis.hold();
  for (int i = 0; i < 100; i++) link->publish("other", std::string(10'000, 'x'));
  link->set_pools({{"main", {true}}});  // beats at once
  const auto last_beat = [&] {
    std::optional<std::uint64_t> last;
    std::size_t before = 0;
    for (const Words& words : redis.heard()) {
      if (words[0] != "PUBLISH") continue;
      const auto said = decode_fleet_message(words[2]);
      if (said->kind == FleetMessage::Kind::Message) before = said->sequence;
      if (said->kind == FleetMessage::Kind::Beat && before > 0) last = said->sequence;
      if (!last) continue;
      EXPECT_EQ(*last, before);
      return last;
    }
    return last;
  };
  ASSERT_TRUE(run_until(loop, [&] { return last_beat().has_value(); }));
  redis.release();
}

TEST_F(FleetLinkTest, ALargeMessageGoesInPartsAndInItsPlace) {
  connect();
  wait_until_connected();
  redis.hold();
  const std::string large = text_of(3'000'001);
  link->publish("other", "before");
  link->publish_large("other", memory_of(large));
  link->publish("other", "after");
  ASSERT_TRUE(run_until(loop, [&] { return heard_bytes("PUBLISH") > 200'000; }));
  link->set_pools({{"main", {true}}});  // beats at once
  const auto beats = [&] {
    std::vector<std::uint64_t> found;
    for (const Words& words : redis.heard()) {
      const auto message = words[0] == "PUBLISH" ? decode_fleet_message(words[2]) : std::nullopt;
      if (message && message->kind == FleetMessage::Kind::Beat) found.push_back(message->sequence);
    }
    return found;
  };
  ASSERT_TRUE(run_until(loop, [&] { return beats().size() > 1; })) << "it does not wait for the rest";
  EXPECT_EQ(beats()[1], 1u) << "and does not say that it was said";
  run_for(loop, std::chrono::milliseconds(300));
  EXPECT_LT(heard_bytes("PUBLISH"), 400'000u);
  EXPECT_EQ(link->status().sent, 1u);
  redis.release();
  EXPECT_TRUE(run_until(loop, [&] { return link->status().sent == 3; }));
  EXPECT_TRUE(run_until(loop, [&] { return said().size() == 3; }));
  EXPECT_TRUE((said() == std::vector<std::string>{"before", large, "after"}));
}

TEST_F(FleetLinkTest, OneThatIsToldToAMachineGoesInPartsToo) {
  connect();
  wait_until_connected();
  const std::string large = text_of(100'000);
  FleetMessage call{FleetMessage::Kind::Call, 0, 5, "main"};
  call.key = "room 1";
  ASSERT_TRUE(link->tell(kTheirs, call, memory_of(large)));
  FleetParts parts;
  std::optional<FleetParts::Whole> whole;
  std::size_t next = 0;
  ASSERT_TRUE(run_until(loop, [&] {
    for (; next < redis.heard().size() && !whole; next++) {
      const Words& words = redis.heard()[next];
      if (words[0] != "PUBLISH" || words[1] != "shop:3:bus:0000000000000009") continue;
      whole = parts.add(*decode_fleet_message(words[2]), TimePoint());
    }
    return whole.has_value();
  }));
  EXPECT_TRUE(*read_memory(*whole->memory.fd, 0, whole->memory.size) == large);
  const auto head = decode_fleet_message(whole->head);
  EXPECT_EQ(head->key, "room 1");
  EXPECT_EQ(head->sequence, 5u);
}

TEST_F(FleetLinkTest, LargeMessagesComeWholeOnceAndInOrder) {
  connect();
  wait_until_connected();
  ASSERT_TRUE(run_until(loop, [&] { return redis.subscribers() == 1; }));
  std::vector<std::string> texts;
  for (const std::size_t size : {1UL, 65'536UL, 65'537UL, 2UL << 20, 1UL}) texts.push_back(text_of(size, texts.size()));
  std::uint64_t number = 0;
  for (const std::string& text : texts) {
    hear(++number, text);
    redis.publish("shop:3:bus", encode({FleetMessage::Kind::Beat, kTheirs, number, "", "{}"}));
  }
  EXPECT_TRUE(run_until(loop, [&] { return messages.size() == texts.size(); })) << messages.size();
  EXPECT_TRUE(messages == texts);
  EXPECT_EQ(link->status().missing, 0u);
  EXPECT_EQ(link->status().malformed, 0u);
}

TEST_F(FleetLinkTest, OneThatIsGivenUpIsMissingAndAnotherComesWell) {
  connect();
  wait_until_connected();
  ASSERT_TRUE(run_until(loop, [&] { return redis.subscribers() == 1; }));
  hear(1, "first");
  const std::string large = text_of(200'000);
  std::vector<std::string> pieces = pieces_of({FleetMessage::Kind::Message, kTheirs, 2, "other"}, large);
  redis.publish("shop:3:bus", pieces[0]);
  redis.publish("shop:3:bus", pieces[1]);
  hear(3, "something else");
  redis.publish("shop:3:bus", pieces[2]);
  redis.publish("shop:3:bus", pieces[3]);
  pieces = pieces_of({FleetMessage::Kind::Message, kTheirs, 4, "other"}, large);
  for (const std::size_t i : {0UL, 1UL, 3UL}) redis.publish("shop:3:bus", pieces[i]);
  hear(5, large);
  EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 3; })) << messages.size();
  EXPECT_TRUE((messages == std::vector<std::string>{"first", "something else", large}));
  EXPECT_EQ(link->status().missing, 2u);
}

TEST_F(FleetLinkTest, OneWithoutADescriptorIsMissingOrComesWithoutItsMemory) {
  connect();
  wait_until_connected();
  ASSERT_TRUE(run_until(loop, [&] { return redis.subscribers() == 1; }));
  hear(1, "first");
  ASSERT_TRUE(run_until(loop, [&] { return messages.size() == 1; }));
  {
    const test::NoDescriptors none;
    hear(2, text_of(100'000));
    FleetMessage call{FleetMessage::Kind::Call, kTheirs, 5, "main"};
    for (const std::string& piece : pieces_of(call, text_of(100'000)))
      redis.publish("shop:3:bus:0000000000000007", piece);
    EXPECT_TRUE(run_until(loop, [&] { return !addressed.empty(); }));
  }
  ASSERT_EQ(addressed.size(), 1u);
  EXPECT_FALSE(addressed[0].fd);
  EXPECT_EQ(addressed[0].size, 100'000u);
  hear(3, "last");
  EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 2; }));
  EXPECT_EQ(link->status().missing, 1u);
}

TEST_F(FleetLinkTest, WhatWaitsIsBoundedAndWhatWasHalfSaidCountsAsUnsent) {
  connect();
  wait_until_connected();
  redis.hold();
  const SharedMemory memory = memory_of(text_of(20U << 20));
  for (int i = 0; i < 3; i++) link->publish_large("other", memory);
  EXPECT_EQ(link->status().unsent, 1u) << "two wait, and there was no room for a third";
  EXPECT_EQ(memory.fd.use_count(), 3);
  redis.set_script([](const Words&) { return "-ERR go away\r\n"; });
  redis.release();
  ASSERT_TRUE(run_until(loop, [&] { return !link->status().trouble.empty(); }));
  EXPECT_EQ(link->status().unsent, 3u);
  EXPECT_EQ(link->status().sent, 0u);
  EXPECT_EQ(memory.fd.use_count(), 1);
}

TEST_F(FleetLinkTest, TheStreamTakesNoLargeMessage) {
  connect();
  wait_until_connected();
  link->publish_large("said", memory_of(text_of(100'000)));
  link->publish("said", "small");
  EXPECT_TRUE(run_until(loop, [&] { return link->status().waiting == 0; }));
  EXPECT_THAT(kept(), ElementsAre("small"));
  EXPECT_EQ(decode_fleet_message(redis.stream()[0])->sequence, 2u) << "so that the others know";
  EXPECT_EQ(link->status().unsent, 1u);
  for (const std::string& piece : pieces_of({FleetMessage::Kind::Message, kTheirs, 1, "said"}, text_of(100'000)))
    redis.add_to_stream(piece);
  EXPECT_TRUE(run_until(loop, [&] { return link->status().malformed == 2; }));
}

TEST_F(FleetLinkTest, WhatIsRefusedComesAgainBeforeWhatIsNewer) {
  bool refuses = true;
  redis.set_script([&](const Words& words) -> std::optional<std::string> {
    if (words[0] != "XADD" || !std::exchange(refuses, false)) return std::nullopt;
    return "-OOM command not allowed\r\n";
  });
  connect();
  for (const char* text : {"a", "b", "c"}) link->publish("said", text);
  EXPECT_TRUE(run_until(loop, [&] { return redis.stream().size() >= 3; }));
  EXPECT_THAT(kept(), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(run_until(loop, [&] { return link->status().waiting == 0; }));
  EXPECT_EQ(link->status().stream_trouble, "");
}

TEST_F(FleetLinkTest, WhereTransactionsAreForbiddenOneGoesAfterTheOther) {
  redis.set_script([](const Words& words) -> std::optional<std::string> {
    if (words[0] != "MULTI") return std::nullopt;
    return "-NOPERM this user has no permissions to run the 'multi' command\r\n";
  });
  connect();
  for (const char* text : {"a", "b", "c"}) link->publish("said", text);
  EXPECT_TRUE(run_until(loop, [&] { return link->status().waiting == 0; })) << link->status().stream_trouble;
  EXPECT_THAT(kept(), ElementsAre("a", "b", "c", "a", "b", "c")) << "whoever reads it knows the numbers";
}

TEST_F(FleetLinkTest, AStreamThatIsNotShownIsToldAndAskedForAgain) {
  bool forbids = true;
  redis.set_script([&](const Words& words) -> std::optional<std::string> {
    if (words[0] != "XREAD" || !forbids) return std::nullopt;
    return "-NOPERM this user has no permissions to run the 'xread' command\r\n";
  });
  connect();
  ASSERT_TRUE(run_until(loop, [&] { return !link->status().stream_trouble.empty(); }));
  link->publish("said", "ours");
  ASSERT_TRUE(run_until(loop, [&] { return link->status().waiting == 0; }));
  EXPECT_THAT(link->status().stream_trouble, HasSubstr("it is not read: NOPERM")) << "that it keeps is something else";
  EXPECT_EQ(link->status().trouble, "") << "all else goes on";
  redis.add_to_stream(message(kTheirs, 1, "theirs"));
  forbids = false;
  EXPECT_TRUE(run_until(loop, [&] { return !messages.empty(); }));
  EXPECT_THAT(messages, ElementsAre("theirs"));
  EXPECT_EQ(link->status().stream_trouble, "");
}

TEST_F(FleetLinkTest, ThePastComesFirstTheOldestInFrontAndOnce) {
  for (std::uint64_t i = 1; i <= 1100; i++) redis.add_to_stream(message(kTheirs, i, std::to_string(i)));
  redis.add_to_stream(message(kTheirs, 1100, "again"));
  connect();
  ASSERT_TRUE(run_until(loop, [&] { return ends_of_history > 0; }));
  ASSERT_EQ(history.size(), 999u) << "a thousand entries, one of them known";
  EXPECT_EQ(history.front(), "102");
  EXPECT_EQ(history.back(), "1100");
  redis.add_to_stream(message(kTheirs, 1101, "new"));
  EXPECT_TRUE(run_until(loop, [&] { return !messages.empty(); }));
  EXPECT_THAT(messages, ElementsAre("new"));
  EXPECT_EQ(ends_of_history, 1);
}

// What the supervisor before us had read is the past; what came after it has to be heard.
TEST_F(FleetLinkTest, AfterASuddenEndTheStreamIsReadOnFromWhereHeWas) {
  for (std::uint64_t i = 1; i <= 10; i++) redis.add_to_stream(message(kTheirs, i, std::to_string(i)));
  redis.add_to_stream(message(5, 3, "his own"));
  SavedLink before;
  before.stream_position = "1-8";
  before.stream_heard = {{kTheirs, 8}, {5, UINT64_MAX}};
  connect(before);
  EXPECT_TRUE(run_until(loop, [&] { return messages.size() >= 2; }));
  EXPECT_THAT(messages, ElementsAre("9", "10"));
  EXPECT_EQ(history.size(), 8u);
  EXPECT_EQ(link->status().missing, 0u);
}

TEST_F(FleetLinkTest, AfterAnUpgradeNothingOfThePastIsAskedFor) {
  for (std::uint64_t i = 1; i <= 10; i++) redis.add_to_stream(message(kTheirs, i, std::to_string(i)));
  SavedLink before;
  before.stream_position = "1-8";
  before.stream_heard = {{kTheirs, 8}};
  connect(before, FleetStream::Past::Known);
  EXPECT_TRUE(run_until(loop, [&] { return messages.size() >= 2; }));
  EXPECT_THAT(messages, ElementsAre("9", "10"));
  EXPECT_THAT(history, IsEmpty());
}

TEST_F(FleetLinkTest, TheEndWaitsUntilRedisHasEverything) {
  connect();
  wait_until_connected();
  redis.hold();
  link->publish("said", "last words");
  bool is_done = false;
  link->settle([&] { is_done = true; });
  ASSERT_TRUE(run_until(loop, [&] { return !redis.stream().empty(); }));
  EXPECT_FALSE(is_done);
  redis.release();
  EXPECT_TRUE(run_until(loop, [&] { return is_done; }));
  EXPECT_EQ(link->status().waiting, 0u);
}

TEST_F(FleetLinkTest, TheEndDoesNotWaitForARedisThatIsAway) {
  connect();
  link->publish("said", "last words");
  bool is_done = false;
  link->settle([&] { is_done = true; });
  EXPECT_TRUE(run_until(loop, [&] { return is_done; }));
}

class Nonsense : public FleetLinkTest, public testing::WithParamInterface<std::pair<const char*, const char*>> {};

// Answers to everything, also where hiredis' own loop would have ended the process.
TEST_P(Nonsense, IsToldAndEndsTheConnectionAlone) {
  bool is_mad = true;
  redis.set_script([&](const Words&) -> std::optional<std::string> {
    return is_mad ? std::optional<std::string>(GetParam().first) : std::nullopt;
  });
  connect();
  EXPECT_TRUE(run_until(loop, [&] { return link->status().trouble.find(GetParam().second) != std::string::npos; }))
      << link->status().trouble;
  is_mad = false;
  wait_until_connected();
}

INSTANTIATE_TEST_SUITE_P(Answers, Nonsense,
                         testing::Values(std::pair("HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol error"),
                                         std::pair("$-5\r\n", "out of range"), std::pair("*-5\r\n", "out of range"),
                                         std::pair(":7\r\n", "does not answer as Redis does"),
                                         std::pair("*1\r\n:7\r\n", "does not answer as Redis does"),
                                         std::pair("$8\r\nholdfast\r\n$8\r\nholdfast\r\n$8\r\nholdfast\r\n",
                                                   "nobody has asked"),
                                         std::pair("-ERR max number of clients reached\r\n", "max number of clients")));

TEST_F(FleetLinkTest, WhatIsHeardMayHaveAnyShape) {
  connect();
  wait_until_connected();
  ASSERT_TRUE(run_until(loop, [&] { return redis.subscribers() == 1; }));
  redis.publish("shop:3:bus", "nonsense");
  EXPECT_TRUE(run_until(loop, [&] { return link->status().malformed == 1; }));
  redis.add_to_stream("nonsense");
  EXPECT_TRUE(run_until(loop, [&] { return link->status().malformed == 2; }));
  EXPECT_EQ(link->status().trouble, "");
}

TEST_F(FleetLinkTest, ARedisThatNeverAnswersIsLeftAfterFiveSeconds) {
  redis.set_script([](const Words&) { return ""; });
  connect();
  EXPECT_TRUE(run_until(loop, [&] { return link->status().trouble == "it did not answer within 5 s"; }));
  redis.set_script({});
  wait_until_connected();
}

}  // namespace
}  // namespace holdfast
