// Messages between real workers through the real supervisor.
#include <gtest/gtest.h>
#include <signal.h>

#include <map>

#include "system/bus/bus_fixture.h"

namespace holdfast::test {
namespace {

TEST(Bus, EightWorkersHearAMillionMessagesOnceEachAndInOrder) {
  const BusFixture fixture(8, {"--bus-queue", "4000000"});
  fixture.subscribe_all("flood.**");
  const std::uint64_t each = 125000 / kSlowness;
  for (int slot = 0; slot < 8; slot++) (void)fixture.ask(slot, "/flood?t=flood.a&n=" + std::to_string(each));
  for (int slot = 0; slot < 8; slot++) {
    EXPECT_TRUE(eventually([&] { return fixture.number(slot, "received") == 8 * each; }))
        << "slot " << slot << " received " << fixture.number(slot, "received") << " of " << 8 * each;
    EXPECT_EQ(fixture.number(slot, "gaps"), 0u);
    EXPECT_EQ(fixture.number(slot, "disorder"), 0u);
    EXPECT_EQ(fixture.number(slot, "lost"), 0u);
  }
  EXPECT_EQ(fixture.bus("published"), 8 * each);
  EXPECT_EQ(fixture.bus("delivered"), 64 * each);
}

TEST(Bus, ASlowSubscriberLosesWhatItIsToldAndDelaysNobody) {
  for (const std::string policy : {"drop-oldest", "drop-newest"}) {
    BusFixture fixture(3, {"--bus-queue", "256", "--bus-full", policy, "--heartbeat-timeout", "0"});
    fixture.subscribe_all("flood.*");
    const std::uint64_t count = 100000;
    const pid_t stopped = fixture.supervisor().status().slot(2).pid;
    send_signal(stopped, SIGSTOP);
    (void)fixture.ask(0, "/flood?t=flood.a&n=" + std::to_string(count));
    EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") + fixture.number(1, "lost") == count; }));
    EXPECT_GT(fixture.waiting(2), 0u) << "all that while the other one stands still";
    send_signal(stopped, SIGCONT);
    // The slow one hears how many it missed, to the last message.
    EXPECT_TRUE(eventually([&] { return fixture.number(2, "received") + fixture.number(2, "lost") == count; }))
        << fixture.number(2, "received") << " and " << fixture.number(2, "lost");
    EXPECT_GT(fixture.number(2, "lost"), 0u) << "the test must overflow the queue";
    EXPECT_EQ(fixture.number(2, "disorder"), 0u);
    EXPECT_GE(fixture.bus("dropped"), fixture.number(2, "lost"));
  }
}

TEST(Bus, ThePolicyDisconnectTakesTheSlowOneOff) {
  BusFixture fixture(2, {"--bus-queue", "64", "--bus-full", "disconnect", "--heartbeat-timeout", "0"});
  fixture.subscribe_all("flood.*");
  const pid_t stopped = fixture.supervisor().status().slot(1).pid;
  send_signal(stopped, SIGSTOP);
  (void)fixture.ask(0, "/flood?t=flood.a&n=50000");
  EXPECT_TRUE(eventually([&] { return fixture.bus("disconnected") >= 1; }));
  send_signal(stopped, SIGCONT);
  fixture.supervisor().wait_until_told("taken off the bus");
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "faults") == 1; }));
  EXPECT_NE(fixture.ask(1, "/say?t=a&m=b").find("status=-32"), std::string::npos) << "EPIPE, and not silence";
}

TEST(Bus, AWorkerThatWasKilledIsSentWhatItMissedWithinRetain) {
  BusFixture fixture(2, {"--set", "bus.retain={ \"flood.**\" = 5000 }"});
  fixture.subscribe_all("flood.**");
  (void)fixture.ask(0, "/flood?t=flood.a&n=1000");
  ASSERT_TRUE(eventually([&] { return fixture.number(1, "received") == 1000; }));
  const std::uint64_t seen = fixture.number(1, "last_sequence");
  const pid_t before = fixture.supervisor().status().slot(1).pid;
  ::kill(before, SIGKILL);
  (void)fixture.ask(0, "/flood?t=flood.a&n=2000");
  ASSERT_TRUE(eventually([&] { return fixture.number(0, "received") == 3000; }));
  fixture.supervisor().wait_until("the killed worker has a successor", [&](const StatusView& view) {
    return view.slot(1).pid > 0 && view.slot(1).pid != before && view.slot(1).state == "serving";
  });
  ASSERT_EQ(fixture.ask(1, "/subscribe?p=flood.**&after=" + std::to_string(seen)), "status=0");
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") == 2000; })) << fixture.number(1, "received");
  EXPECT_EQ(fixture.number(1, "disorder"), 0u);
  EXPECT_EQ(fixture.number(1, "gaps"), 1000u) << "it begins with number 1000, as far as it knows";
}

TEST(Bus, AKeyLeadsToOneWorkerAndAnAnswerComesBack) {
  BusFixture fixture(4);
  std::map<std::string, int> reached;
  for (int key = 0; key < 40; key++) {
    const std::string path = "/call?pool=main&key=room" + std::to_string(key) + "&m=hello";
    const std::string first = fixture.ask(key % 4, path);
    ASSERT_TRUE(first.starts_with("status=0 slot ")) << first;
    EXPECT_EQ(first, fixture.ask((key + 1) % 4, path)) << "whoever asks";
    reached[first]++;
  }
  EXPECT_EQ(reached.size(), 4u) << "keys are spread over the slots";
  EXPECT_EQ(fixture.ask(0, "/send?pool=main&key=room1&m=hi"), "status=0");
  EXPECT_TRUE(eventually([&] {
    int heard = 0;
    for (int slot = 0; slot < 4; slot++) heard += fixture.stats(slot)["text"] == "hi" ? 1 : 0;
    return heard == 1;
  }));
}

TEST(Bus, ACallEndsInTimeWhateverHappens) {
  BusFixture fixture(2);
  EXPECT_EQ(fixture.ask(0, "/call?pool=main&key=a&m=silent&ms=50"), "status=-110 ");
  const std::string unknown = fixture.ask(0, "/call?pool=nowhere&key=a&m=x");
  EXPECT_TRUE(unknown.starts_with("status=-2")) << unknown;
  // The one that was asked dies over it: not the one who asks.
  int key = 0;
  const auto call = [&](const std::string& text) {
    return fixture.ask(0, "/call?pool=main&key=k" + std::to_string(key) + "&m=" + text);
  };
  while (key < 100 && call("where") != "status=0 slot 1 heard where") key++;
  const std::string died = call("die");
  EXPECT_TRUE(died.starts_with("status=-104")) << died;
}

TEST(Bus, MembersAreThoseThatServe) {
  BusFixture fixture(3);
  EXPECT_TRUE(eventually([&] { return fixture.ask(0, "/members?pool=main") == "status=3\n0 1 2 "; }))
      << fixture.ask(0, "/members?pool=main");
  EXPECT_EQ(fixture.supervisor().tell("drain", {"2", "--wait"}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return fixture.ask(0, "/members?pool=main") == "status=2\n0 1 "; }));
  EXPECT_TRUE(fixture.ask(0, "/members?pool=nobody").starts_with("status=0")) << "nobody is in it";
}

TEST(Bus, LargeMessagesArriveWhole) {
  BusFixture fixture(4);
  fixture.subscribe_all("big");
  for (const int size : {65536, 65537, 1 << 20, 20 << 20}) {
    EXPECT_EQ(fixture.ask(0, "/large?t=big&size=" + std::to_string(size)), "status=0");
  }
  for (int slot = 0; slot < 4; slot++) {
    EXPECT_TRUE(eventually([&] { return fixture.number(slot, "received") == 4; })) << fixture.number(slot, "received");
    EXPECT_EQ(fixture.number(slot, "bad"), 0u);
  }
  EXPECT_TRUE(fixture.ask(0, "/large?t=big&size=67108865").starts_with("status=-90"))
      << "too long, and nothing is sent";
}

TEST(Bus, AFloodDoesNotStarveAnother) {
  constexpr int kWorkers = 6;
  BusFixture fixture(kWorkers);
  // What the first one floods is dear: everybody wants it.
  for (int slot = 0; slot < kWorkers; slot++) ASSERT_EQ(fixture.ask(slot, "/subscribe?p=flood.a"), "status=0");
  ASSERT_EQ(fixture.ask(2, "/subscribe?p=flood.b"), "status=0");
  (void)fixture.ask(0, "/flood?t=flood.a&n=1000000000");
  (void)fixture.ask(1, "/flood?t=flood.b&n=1000000000");
  ASSERT_TRUE(eventually([&] { return fixture.published(0) > 0 && fixture.published(1) > 0; }));
  // Long enough that it is not the kernel's scheduler that decides who had his turn.
  constexpr std::uint64_t kLong = 3'000'000 / kSlowness;
  const std::uint64_t dear_before = fixture.published(0);
  const std::uint64_t cheap_before = fixture.published(1);
  ASSERT_TRUE(eventually([&] { return fixture.published(0) > dear_before + kLong; }));
  EXPECT_GT(4 * (fixture.published(1) - cheap_before), fixture.published(0) - dear_before) << "in the same time";
}

// What is replayed and what comes meanwhile meet without a gap, and nothing comes twice.
TEST(Bus, WhoResumesDuringAFloodMissesNothing) {
  BusFixture fixture(2, {"--set", "bus.retain={ \"flood.**\" = 200000 }", "--bus-queue", "4000000"});
  const std::uint64_t count = 100'000 / kSlowness;
  (void)fixture.ask(0, "/flood?t=flood.a&n=" + std::to_string(count));
  ASSERT_TRUE(eventually([&] { return fixture.bus("published") > 0; }));
  ASSERT_EQ(fixture.ask(1, "/subscribe?p=flood.**&after=0"), "status=0");
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") == count; })) << fixture.number(1, "received");
  EXPECT_EQ(fixture.number(1, "gaps"), 0u);
  EXPECT_EQ(fixture.number(1, "disorder"), 0u);
  EXPECT_EQ(fixture.number(1, "lost"), 0u);
  EXPECT_EQ(fixture.number(0, "left"), 0u);
}

TEST(Bus, GarbageEndsTheBusForItsSenderAlone) {
  BusFixture fixture(2);
  fixture.subscribe_all("a.b");
  (void)fixture.ask(1, "/garbage");
  fixture.supervisor().wait_until_told("taken off the bus");
  EXPECT_EQ(fixture.ask(0, "/say?t=a.b&m=still"), "status=0");
  EXPECT_TRUE(eventually([&] { return fixture.stats(0)["text"] == "still"; }));
  EXPECT_EQ(fixture.supervisor().status().restarts(), 0u);
}

TEST(Bus, BadNamesAreRefusedByTheCall) {
  BusFixture fixture(1);
  EXPECT_TRUE(fixture.ask(0, "/say?t=a..b&m=x").starts_with("status=-22"));
  EXPECT_TRUE(fixture.ask(0, "/say?t=a.*&m=x").starts_with("status=-22"));
  EXPECT_TRUE(fixture.ask(0, "/subscribe?p=a.**b").starts_with("status=-22"));
  EXPECT_TRUE(fixture.ask(0, "/say?m=x&t=" + std::string(256, 'a')).starts_with("status=-36"));
  EXPECT_EQ(fixture.bus("published"), 0u);
}

TEST(Bus, ScriptsPublishAndLookOn) {
  BusFixture fixture(2);
  fixture.subscribe_all("news.*");
  ProcessPlan plan;
  plan.command = {holdfast_program(), "tail", "--control", fixture.supervisor().control(), "news.**"};
  plan.output_file = fixture.supervisor().directory() / "tail";
  plan.error_file = fixture.supervisor().directory() / "tail.errors";
  Process tail(plan);
  // It sees what comes from when it has asked; nobody tells when that is.
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(fixture.supervisor().tell("publish", {"news.today", "rain"}).exit_code, 0);
    return text_of(plan.output_file).find("news.today\train\n") != std::string::npos;
  }));
  EXPECT_TRUE(eventually([&] { return fixture.stats(1)["text"] == "rain"; }));
  EXPECT_EQ(fixture.ask(0, "/say?t=news.evening&m=sun"), "status=0");
  EXPECT_TRUE(eventually([&] { return text_of(plan.output_file).find("news.evening\tsun\n") != std::string::npos; }));
  EXPECT_EQ(fixture.supervisor().tell("publish", {"news.bell", "two\nlines\x1b[2J"}).exit_code, 0);
  EXPECT_EQ(fixture.ask(0, "/large?t=news.large&size=100000"), "status=0");
  EXPECT_TRUE(eventually([&] {
    const std::string shown = text_of(plan.output_file);
    return shown.find("news.bell\ttwo\\nlines\\x1b[2J\n") != std::string::npos &&
           shown.find("news.large\t(100000 bytes)\n") != std::string::npos;
  })) << text_of(plan.output_file);
  const Ran wrong = fixture.supervisor().tell("publish", {"news..x", "y"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.errors.find("news..x"), std::string::npos) << wrong.errors;
  write_text(fixture.supervisor().directory() / "message", std::string(40000, 'z'));
  EXPECT_EQ(fixture.supervisor()
                .tell("publish", {"news.long", "--file", fixture.supervisor().directory() / "message"})
                .exit_code,
            0);
  EXPECT_TRUE(eventually([&] { return fixture.stats(1)["text"] == std::string(40000, 'z'); }));
}

}  // namespace
}  // namespace holdfast::test
