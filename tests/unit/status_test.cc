#include "wire/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

Status example() {
  Status status;
  status.name = "web";
  status.version = "0.1.0";
  status.pid = 4711;
  status.uptime = 90500ms;
  status.state = "running";
  status.accepted = 10;
  status.handed = 7;
  status.waiting = 1;
  status.refused = {{"queue full", 2}};
  status.listeners.push_back({"http", "127.0.0.1:8080", 10, {{"queue full", 2}}, true, "no file descriptors"});
  PoolStatus& pool = status.pools.emplace_back(PoolStatus{"web", {"./worker", "--fast"}, "sdk", "pass", {}});
  SlotStatus& living = pool.slots.emplace_back();
  living.slot = 0;
  living.state = "serving";
  living.worker = WorkerStatus{4712, "serving", 3, 1250ms};
  living.others.push_back({4713, "draining", 2, 60s, 12, 3s, 7s});
  living.worker->health = "unhealthy";
  living.worker->last_check = "GET /: 503";
  living.worker->resident = 5 << 20;
  living.others[0].resident = 7 << 20;
  living.restarts = 2;
  living.handed = 7;
  living.open = 3;
  living.buckets = 512;
  living.home_buckets = 256;
  SlotStatus& dead = pool.slots.emplace_back();
  dead.slot = 1;
  dead.state = "backoff";
  dead.waiting = 1;
  dead.queued = 6;
  dead.accepted = 8;
  dead.lost = 1;
  dead.protocol_errors = 4;
  dead.home_buckets = 256;
  dead.last_exit = "killed by signal 9 (SIGKILL)";
  dead.next_start = 300ms;
  BusMemberStatus& off = status.bus.members.emplace_back();
  off.worker = "web/0";
  off.is_off = true;
  return status;
}

TEST(Status, ItsJsonHasTheMembersThatScriptsReadByName) {
  const json object = json::parse(to_json(example()));
  EXPECT_EQ(object["pid"], 4711);
  EXPECT_EQ(object["uptime_seconds"], 90.5);
  EXPECT_EQ(object["accepted"], 10);
  EXPECT_EQ(object["handed"], 7);
  EXPECT_EQ(object["waiting"], 1);
  EXPECT_EQ(object["refused"], json({{"queue full", 2}}));
  const json& listener = object["listeners"][0];
  EXPECT_EQ(listener["name"], "http");
  EXPECT_EQ(listener["address"], "127.0.0.1:8080");
  EXPECT_EQ(listener["accepted"], 10);
  EXPECT_EQ(listener["refused"]["queue full"], 2);
  EXPECT_EQ(listener["paused"], true);
  EXPECT_EQ(object["pools"][0]["command"], json({"./worker", "--fast"}));
  EXPECT_EQ(object["pools"][0]["counts_connections"], true);
  const json& living = object["pools"][0]["slots"][0];
  EXPECT_EQ(living["slot"], 0);
  EXPECT_EQ(living["state"], "serving");
  EXPECT_EQ(living["pid"], 4712);
  EXPECT_EQ(living["generation"], 3);
  EXPECT_EQ(living["age_seconds"], 1.25);
  EXPECT_EQ(living["others"][0]["pid"], 4713);
  EXPECT_EQ(living["others"][0]["open"], 12);
  EXPECT_EQ(living["others"][0]["draining_seconds"], 3.0);
  EXPECT_EQ(living["others"][0]["ends_in_seconds"], 7.0);
  EXPECT_EQ(living["health"], "unhealthy");
  EXPECT_EQ(living["last_check"], "GET /: 503");
  EXPECT_EQ(living["draining_seconds"], nullptr);
  EXPECT_EQ(living["resident_bytes"], 5 << 20);
  EXPECT_EQ(living["others"][0]["resident_bytes"], 7 << 20);
  EXPECT_EQ(living["last_exit"], nullptr);
  const json& dead = object["pools"][0]["slots"][1];
  EXPECT_EQ(dead["pid"], nullptr);
  EXPECT_EQ(dead["resident_bytes"], nullptr);
  EXPECT_EQ(dead["generation"], nullptr);
  EXPECT_EQ(dead["last_exit"], "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(dead["next_start_seconds"], 0.3);
  EXPECT_EQ(dead["queued"], 6);
  EXPECT_EQ(dead["accepted"], 8);
  EXPECT_EQ(dead["lost"], 1);
  EXPECT_EQ(dead["protocol_errors"], 4);
}

TEST(Status, ComesBackFromItsJsonAsItWas) {
  const std::string text = to_json(example());
  const Result<Status> back = parse_status(text);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), text);
  EXPECT_EQ(back->uptime, 90500ms);
  EXPECT_EQ(back->pools[0].slots[1].next_start, 300ms);
  EXPECT_EQ(back->pools[0].slots[1].protocol_errors, 4U);
}

TEST(Status, OnlyNodeWorkersHaveADialect) {
  Status status = example();
  EXPECT_FALSE(json::parse(to_json(status))["pools"][0].contains("node_dialect"));
  status.pools[0].node_dialect = "socket.io";
  status.pools[0].node_messages_dropped = 7;
  EXPECT_EQ(json::parse(to_json(status))["pools"][0]["node_dialect"], "socket.io");
  EXPECT_EQ(parse_status(to_json(status))->pools[0].node_messages_dropped, 7u);
  EXPECT_EQ(parse_status(to_json(status))->pools[0].node_dialect, "socket.io");
}

TEST(Status, IsOneLineWhateverTheNamesAre) {
  Status status = example();
  status.name = "two\nlines";
  status.pools[0].command = {"/bin/\xff\xfe", "\x1b[31m"};
  const std::string text = to_json(status);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  ASSERT_TRUE(parse_status(text));
  EXPECT_EQ(parse_status(text)->pools[0].command[0], "/bin/\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Status, IgnoresMembersItDoesNotKnowAndKeepsDefaultsForMissingOnes) {
  const Result<Status> status =
      parse_status(R"({"pid":7,"colour":{"deep":[1]},"listeners":[{}],"uptime_seconds":null})");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->pid, 7);
  EXPECT_EQ(status->listeners.size(), 1U);
  EXPECT_EQ(status->uptime, Duration::zero());
}

TEST(Status, SaysWhichMemberIsWrong) {
  EXPECT_THAT(parse_status("[]").error().message(), HasSubstr("not a JSON object"));
  EXPECT_THAT(parse_status("").error().message(), HasSubstr("not a JSON object"));
  EXPECT_THAT(parse_status(R"({"pid":"seven"})").error().message(), HasSubstr("pid is not a whole number"));
  EXPECT_THAT(parse_status(R"({"accepted":-1})").error().message(), HasSubstr("accepted is not"));
  EXPECT_THAT(parse_status(R"({"uptime_seconds":1e300})").error().message(),
              HasSubstr("uptime_seconds is not seconds"));
  EXPECT_THAT(parse_status(R"({"pools":[{"slots":[{"slot":4294967296}]}]})").error().message(),
              HasSubstr("slot is not"));
  EXPECT_THAT(parse_status(R"({"pools":[7]})").error().message(), HasSubstr("pools is not an array of objects"));
  EXPECT_THAT(parse_status(R"({"refused":{"x":"y"}})").error().message(), HasSubstr("refused is not"));
}

}  // namespace
}  // namespace holdfast
