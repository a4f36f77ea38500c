// The front door when the supervisor becomes another program: who waits at it is not let go, and the doors are the same.
#include <gmock/gmock.h>

#include <deque>
#include <filesystem>

#include "support/eventually.h"
#include "support/temp_directory.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

std::uint64_t handed(const StatusView& status, const std::string& pool) {
  std::uint64_t sum = 0;
  const auto json = nlohmann::json::parse(status.json);
  for (const auto& each : json["pools"]) {
    if (each["name"] != pool) continue;
    for (const auto& slot : each["slots"]) sum += slot["handed"].get<std::uint64_t>();
  }
  return sum;
}

TEST(FrontDoorUpgrade, WhoWaitsAtTheDoorIsServedByTheNextProgram) {
  const TempDirectory directory;
  const std::string worker = "intake = \"sdk\"\nworkers = 2\ncommand = [\"" + whoami_program() + "\"]\n";
  write_text(
      directory / "front.toml",
      "[supervisor]\nname = \"front\"\n[listeners.http]\naddress = \"127.0.0.1:0\"\n"
      "proxy-protocol = \"required\"\npreface-timeout = \"1h\"\nsource-rate = 1\nsource-rate-period = \"1h\"\n"
      "routes = [{ when = { host = \"ws.*\", path-prefix = \"/\" }, pool = \"chat\" }]\n[pools.web]\n" +
          worker +
          "key = [\"cookie(sid)\", \"remote-address\"]\nweights = [3, 1]\nplacement = \"crc32\"\n[pools.chat]\n" +
          worker);
  const Supervisor supervisor(plan_of_file(directory / "front.toml"));
  supervisor.wait_until("all serve", [](const StatusView& status) {
    const auto json = nlohmann::json::parse(status.json);
    for (const auto& pool : json["pools"]) {
      for (const auto& slot : pool["slots"]) {
        if (slot["state"] != "serving") return false;
      }
    }
    return true;
  });
  HttpClient silent(supervisor.target());
  HttpClient half(supervisor.target());
  const std::string header = header_v1("TCP4 203.0.113.7 192.0.2.1 4000 443");
  half.send_raw(header.substr(0, 12));
  HttpClient before(supervisor.target());
  before.send_raw(header_v1("TCP4 203.0.113.8 192.0.2.1 4000 443") + "GET / HTTP/1.1\r\nHost: ws.test\r\n\r\n");
  ASSERT_TRUE(told(before));
  supervisor.wait_until("two wait", [](const StatusView& status) { return status.waiting == 2; });
  for (int round = 0; round < 2; ++round) {
    const Ran ran = supervisor.tell("upgrade", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
    EXPECT_EQ(supervisor.status().waiting, 2u);
    EXPECT_TRUE(supervisor.status().balanced());
  }
  half.send_raw(header.substr(12) + request("/"));
  const auto answer = told(half);
  ASSERT_TRUE(answer) << name_of(half.ending());
  EXPECT_EQ((*answer)["remote"], "203.0.113.7:4000");
  silent.send_raw(header_v1("TCP4 203.0.113.9 192.0.2.1 4000 443") + "GET / HTTP/1.1\r\nHost: ws.test\r\n\r\n");
  EXPECT_TRUE(told(silent)) << name_of(silent.ending());
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(handed(status, "chat"), 2u);
  EXPECT_EQ(handed(status, "web"), 1u);
  EXPECT_EQ(status.refused_in_all(), 0u);
  ASSERT_EQ(status.listeners.size(), 1u);
  EXPECT_EQ(status.listeners[0].accepted, 3u);
}

// How many bytes the door waits for stands in the socket, which the worker gets.
TEST(FrontDoorUpgrade, AWorkerHearsOfEveryByteOfWhatCameWhileTheProgramsChanged) {
  const Supervisor supervisor(by_key("cookie(sid), remote-address"));
  supervisor.wait_until_serving();
  const std::string there = supervisor.directory() / "there";
  const std::string go = supervisor.directory() / "go";
  const std::string next = supervisor.directory() / "next";
  write_text(next, "#!/bin/sh\ncase \"$1\" in check-upgrade) ;; *)\n: >" + there + "\nwhile [ ! -e " + go +
                       " ]; do sleep 0.02; done;;\nesac\nexec " + holdfast_program() + " \"$@\"\n");
  std::filesystem::permissions(next, std::filesystem::perms::owner_all);
  HttpClient client(supervisor.target());
  client.send_raw("GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(500, 'x'));
  supervisor.wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
  EXPECT_EQ(supervisor.tell("upgrade", {"--binary", next}).exit_code, 0);
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(there); })) << supervisor.errors();
  client.send_raw("\r\n\r\n");
  write_text(go, "");
  ASSERT_TRUE(client.receive()) << name_of(client.ending());
  client.send_raw("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.receive()) << name_of(client.ending());
}

TEST(FrontDoorUpgrade, IsRefusedWhileAListCannotBeRead) {
  const TempDirectory directory;
  const std::string list = directory / "deny";
  write_text(list, "127.0.7.0/24\n");
  const Supervisor supervisor(passed("127.0.0.1:0,deny=" + list));
  supervisor.wait_until_serving();
  const std::vector<pid_t> workers = supervisor.status().pids();
  std::filesystem::remove(list);
  const Ran refused = supervisor.tell("upgrade", {"--wait"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, testing::HasSubstr("read " + list));
  EXPECT_FALSE(get_once(supervisor.target(), "/", "127.0.7.1")) << "what the list said is in force";
  EXPECT_TRUE(get_once(supervisor.target(), "/", "127.0.8.1"));
  write_text(list, "127.0.8.0/24\n");
  const Ran done = supervisor.tell("upgrade", {"--wait"});
  EXPECT_EQ(done.exit_code, 0) << done.errors;
  EXPECT_EQ(supervisor.status().pids(), workers);
  EXPECT_TRUE(get_once(supervisor.target(), "/", "127.0.7.1"));
  EXPECT_FALSE(get_once(supervisor.target(), "/", "127.0.8.1"));
}

TEST(FrontDoorUpgrade, WhatSourcesHaveDoneBeforeIsNotForgotten) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-rate=1,source-rate-period=1h,ban-after=2,ban-time=1h"));
  supervisor.wait_until_serving();
  const auto is_served = [&](const std::string& source) {
    return get_once(supervisor.target(), "/", source).has_value();
  };
  EXPECT_TRUE(is_served("127.0.7.1"));
  EXPECT_TRUE(is_served("127.0.7.2"));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(is_served("127.0.7.2"));
  const Ran ran = supervisor.tell("upgrade", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
  EXPECT_FALSE(is_served("127.0.7.1"));
  EXPECT_FALSE(is_served("127.0.7.2"));
  EXPECT_TRUE(is_served("127.0.7.3"));
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused.at("source-rate"), 3u);
  EXPECT_EQ(status.refused.at("banned"), 1u);
}

// The client's address is not the kernel's: what is counted for whom goes along.
TEST(FrontDoorUpgrade, WhatIsOpenCountsOn) {
  const Supervisor supervisor(
      passed("127.0.0.1:0,proxy-protocol=required,source-connections=2,total-connections=4,refusal=http",
             {"--wait-limit", "0"}));
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](const std::string& client) { return come_by_a_proxy(supervisor, client, open); };
  EXPECT_EQ(come("203.0.113.7"), 200);
  EXPECT_EQ(come("203.0.113.7"), 200);
  EXPECT_EQ(come("203.0.113.8"), 200);
  for (int round = 0; round < 2; ++round) {
    const Ran ran = supervisor.tell("upgrade", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
    EXPECT_EQ(come("203.0.113.7"), 429);
  }
  const auto heaviest = [&] {
    return nlohmann::json::parse(supervisor.tell("clients", {"--json"}).output)["listeners"][0]["sources"][0];
  };
  EXPECT_EQ(heaviest()["address"], "203.0.113.7/32");
  EXPECT_EQ(heaviest()["open"], 2);
  EXPECT_EQ(heaviest()["seen"], 4) << "what was refused among them";
  EXPECT_EQ(come("203.0.113.9"), 200) << "the fourth of all";
  EXPECT_EQ(come("203.0.113.10"), 503);
  open.pop_front();
  EXPECT_TRUE(eventually([&] { return come("203.0.113.7") == 200; }))
      << "its worker closes it, and there is room again";
}

TEST(FrontDoorUpgrade, WhatWasOnlyCountedIsCountedOn) {
  const TempDirectory directory;
  write_text(directory / "deny", "127.0.7.0/24\n");
  const Supervisor supervisor(
      passed("127.0.0.1:0,admission=dry-run,deny=" + (directory / "deny"), {"--max-connections", "1"}));
  supervisor.wait_until_serving();
  HttpClient open(supervisor.target());
  ASSERT_TRUE(open.get("/"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(get_once(supervisor.target(), "/", "127.0.7.1"));
    const Ran ran = supervisor.tell("upgrade", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
    const auto listener = nlohmann::json::parse(supervisor.status().json)["listeners"][0];
    EXPECT_EQ(listener["would_refuse"], (nlohmann::json{{"denied", round + 1}, {"max-connections", round + 1}}));
  }
}

}  // namespace
}  // namespace holdfast::test
