// Pools that several machines have together.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

using BusShared = RedisTest;

SupervisorPlan shared_machine(const std::string& redis, unsigned workers = 1) {
  SupervisorPlan plan = machine(redis);
  plan.workers = workers;
  plan.options.insert(plan.options.end(), {"--scope", "fleet"});
  return plan;
}

// As its members know it.
bool has_members(const Supervisor& supervisor, int count) {
  return ask(supervisor, "/members?pool=main").starts_with("status=" + std::to_string(count) + "\n");
}

std::string call(const Supervisor& supervisor, int key, const std::string& text) {
  return ask(supervisor, "/call?pool=main&key=room" + std::to_string(key) + "&ms=20000&m=" + text);
}

TEST_F(BusShared, AKeyBelongsToOneWorkerOfAllMachines) {
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  const Supervisor elm(shared_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return has_members(oak, 2) && has_members(elm, 2); }))
      << ask(oak, "/members?pool=main") << ask(elm, "/members?pool=main") << oak.errors();
  // Whoever hears it counts it: each of the two has its own keys, whichever of them is asked.
  const auto heard = [&](const Supervisor& one) { return number(one, "received"); };
  int of_oak = 0;
  for (int key = 0; key < 40; key++) {
    const std::uint64_t before = heard(oak);
    EXPECT_TRUE(call(oak, key, "hello").starts_with("status=0 slot 0 heard hello")) << key;
    const bool is_oaks = heard(oak) > before;
    EXPECT_TRUE(call(elm, key, "hello").starts_with("status=0 slot 0 heard hello")) << key;
    EXPECT_EQ(heard(oak) > before + (is_oaks ? 1 : 0), is_oaks) << "whoever asks";
    of_oak += is_oaks ? 1 : 0;
  }
  EXPECT_GT(of_oak, 5);
  EXPECT_LT(of_oak, 35);
  EXPECT_EQ(heard(oak) + heard(elm), 80u);
}

TEST_F(BusShared, AKeyBelongsToOneOfManyWorkersWhoeverAsks) {
  constexpr int kKeys = 40;
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url(), 4));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak) && has_members(oak, 4); }));
  std::vector<std::string> alone;
  for (int key = 0; key < kKeys; key++) alone.push_back(call(oak, key, "pid"));
  const auto is_oaks = [pids = oak.status().pids()](const std::string& answer) {
    return std::any_of(pids.begin(), pids.end(),
                       [&](pid_t pid) { return answer == "status=0 " + std::to_string(pid); });
  };
  {
    const Supervisor elm(shared_machine(redis.url(), 4));
    elm.wait_until_serving();
    ASSERT_TRUE(eventually([&] { return has_members(oak, 8) && has_members(elm, 8); }));
    int stayed = 0;
    for (int key = 0; key < kKeys; key++) {
      const std::string answer = call(oak, key, "pid");
      ASSERT_TRUE(answer.starts_with("status=0 ")) << answer;
      EXPECT_EQ(call(elm, key, "pid"), answer) << "key " << key << ": whoever asks";
      if (!is_oaks(answer)) continue;
      EXPECT_EQ(answer, alone[static_cast<std::size_t>(key)]) << "who has come takes only what is his";
      stayed++;
    }
    EXPECT_GT(stayed, 5);
    EXPECT_LT(stayed, 35);
  }
  ASSERT_TRUE(eventually([&] { return has_members(oak, 4); })) << "it falls silent";
  for (int key = 0; key < kKeys; key++) EXPECT_EQ(call(oak, key, "pid"), alone[static_cast<std::size_t>(key)]);
}

TEST_F(BusShared, LargeQuestionsAndAnswersCross) {
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  const Supervisor elm(shared_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return has_members(oak, 2) && has_members(elm, 2); }));
  int of_elm = 0;
  for (int key = 0; key < 12; key++) {
    const std::uint64_t before = number(elm, "received");
    const std::string query = "?pool=main&key=room" + std::to_string(key) + "&size=1000001";
    EXPECT_EQ(ask(oak, "/call" + query + "&ms=20000"), "status=0 1000001 bytes") << key;
    const bool is_elms = number(elm, "received") > before;
    of_elm += is_elms ? 1 : 0;
    EXPECT_EQ(ask(oak, "/send" + query), "status=0");
    EXPECT_TRUE(eventually([&] {
      return number(is_elms ? elm : oak, "received") ==
             static_cast<std::uint64_t>(2 * (is_elms ? of_elm : key + 1 - of_elm));
    })) << key;
  }
  EXPECT_GT(of_elm, 0) << "the test needs one that crosses";
  EXPECT_EQ(number(oak, "bad") + number(elm, "bad"), 0u);
  EXPECT_EQ(number(oak, "undelivered"), 0u);
}

// One that beats as a version did that knew no messages in parts.
TEST_F(BusShared, AnOlderMachineIsAskedNothingLarge) {
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak) && has_members(oak, 1); }));
  const std::string head = std::string("HFB1\2\0\0\0", 8) + std::string("\7\0\0\0\0\0\0\0", 8) + std::string(10, '\0');
  write_text(directory / "beat", head + R"({"machine":"old","place":"old","pools":[{"name":"main","serving":"1"}]})");
  const std::string beat = redis.shell_command() + " -x publish holdfast:0:bus < " + (directory / "beat");
  EXPECT_TRUE(eventually([&] {
    if (run({"sh", "-c", beat}).exit_code != 0) return false;
    for (int key = 0; key < 30; key++) {
      const std::string answer = ask(oak, "/call?pool=main&key=room" + std::to_string(key) + "&size=100000&ms=20000");
      if (answer.starts_with("status=-90")) return true;  // EMSGSIZE
      EXPECT_EQ(answer, "status=0 100000 bytes") << "a key of its own";
    }
    return false;
  })) << ask(oak, "/members?pool=main");
}

TEST_F(BusShared, WhatIsSentToAMachineThatHasGoneIsServedHere) {
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  oak.wait_until_serving();
  {
    const Supervisor elm(shared_machine(redis.url()));
    elm.wait_until_serving();
    ASSERT_TRUE(eventually([&] { return has_members(oak, 2); }));
    // Its worker dies over a call: the one who has asked hears it from afar.
    int key = 0;
    while (key < 100) {
      const std::uint64_t before = number(elm, "received");
      (void)call(oak, key, "where");
      if (number(elm, "received") > before) break;
      key++;
    }
    EXPECT_TRUE(call(oak, key, "die").starts_with("status=-104")) << "ECONNRESET";
  }
  EXPECT_TRUE(eventually([&] { return has_members(oak, 1); })) << "it falls silent";
  for (int key = 0; key < 20; key++) EXPECT_TRUE(call(oak, key, "hello").starts_with("status=0")) << key;
}

}  // namespace
}  // namespace holdfast::test
