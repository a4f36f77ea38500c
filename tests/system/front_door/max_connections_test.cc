// How many connections workers may have open, and what becomes of those that come beyond.
#include <gmock/gmock.h>
#include <signal.h>

#include "support/eventually.h"
#include "support/temp_directory.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

// One that a worker has and keeps.
HttpClient open_one(const Supervisor& supervisor, const std::string& source = "127.0.0.1") {
  HttpClient client(supervisor.target(), source);
  EXPECT_TRUE(client.get("/")) << name_of(client.ending());
  return client;
}

SupervisorPlan bounded(std::vector<std::string> options, const std::string& listen = "127.0.0.1:0,refusal=http") {
  return passed(listen, std::move(options));
}

TEST(MaxConnections, WhoComesBeyondWaitsUntilOneIsClosed) {
  const Supervisor supervisor(bounded({"--max-connections", "3", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (int i = 0; i < 3; ++i) open.push_back(open_one(supervisor));
  HttpClient next(supervisor.target());
  next.send("/");
  HttpClient behind(supervisor.target());
  behind.send("/");
  const StatusView full = supervisor.wait_until("two wait", [](const StatusView& view) { return view.waiting == 2; });
  EXPECT_EQ(full.handed, 3u);
  EXPECT_FALSE(full.listeners[0].paused) << "who waits keeps nobody from being accepted";
  open.pop_back();
  EXPECT_TRUE(next.receive()) << name_of(next.ending());
  open.pop_back();
  EXPECT_TRUE(behind.receive()) << name_of(behind.ending());
  EXPECT_EQ(supervisor.wait_until_settled().refused_in_all(), 0u);
}

TEST(MaxConnections, BeyondWhatMayWaitTheyAreToldToComeAgain) {
  const Supervisor supervisor(bounded({"--max-connections", "1", "--wait-limit", "1", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  const HttpClient open = open_one(supervisor);
  HttpClient waits(supervisor.target());
  waits.send("/");
  supervisor.wait_until("it waits", [](const StatusView& view) { return view.waiting == 1; });
  HttpClient refused(supervisor.target());
  refused.send("/");
  const auto answer = refused.receive();
  ASSERT_TRUE(answer) << name_of(refused.ending());
  EXPECT_EQ(answer->code, 503);
  EXPECT_EQ(supervisor.status().refused.at("max-connections"), 1u);
  EXPECT_TRUE(supervisor.status().balanced());
}

TEST(MaxConnections, NobodyWaitsLongerThanAllowed) {
  const Supervisor supervisor(bounded({"--max-connections", "1", "--wait-timeout", "300ms"}));
  supervisor.wait_until_serving();
  const HttpClient open = open_one(supervisor);
  const auto begin = Clock::now();
  HttpClient waits(supervisor.target());
  waits.send("/");
  const auto answer = waits.receive();
  ASSERT_TRUE(answer) << name_of(waits.ending());
  EXPECT_EQ(answer->code, 503);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(250));
}

TEST(MaxConnections, WithoutHttpTheyAreReset) {
  const Supervisor supervisor(bounded({"--max-connections", "1", "--wait-timeout", "100ms"}, "127.0.0.1:0"));
  supervisor.wait_until_serving();
  const HttpClient open = open_one(supervisor);
  HttpClient waits(supervisor.target());
  waits.send("/");
  EXPECT_TRUE(waits.closed_by_peer());
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("max-connections"), 1u);
}

TEST(MaxConnections, ADryRunHoldsNobodyUpAndCounts) {
  const Supervisor supervisor(bounded({"--max-connections", "3", "--max-slot-connections", "2", "--wait-timeout", "1h"},
                                      "127.0.0.1:0,admission=dry-run"));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (int i = 0; i < 5; ++i) open.push_back(open_one(supervisor));
  const auto status = nlohmann::json::parse(supervisor.wait_until_settled().json);
  EXPECT_EQ(status["listeners"][0]["would_refuse"],
            (nlohmann::json{{"max-connections", 2}, {"max-slot-connections", 3}}))
      << "from the fourth on, and from the third on";
  EXPECT_EQ(supervisor.status().slot(supervisor.route("127.0.0.1")).handed, 5u) << "they are placed as without limits";
}

// Nothing else asks for a front door there.
TEST(MaxConnections, APoolTriesOneOfItsLimitsForAllThatComeToIt) {
  const TempDirectory directory;
  write_text(
      directory / "web.toml",
      "[listeners.http]\naddress = \"127.0.0.1:0\"\n[pools.web]\nintake = \"sdk\"\nworkers = 2\nmax-connections = "
      "3\nmax-slot-connections = 1\ndry-run = [\"max-connections\"]\noverflow = \"refuse\"\ncommand = [\"" +
          whoami_program() + "\"]\n");
  SupervisorPlan plan;
  plan.listen.clear();
  plan.workers = 0;
  plan.command.clear();
  plan.options = {"-c", directory / "web.toml", "--set", "pools.web.dry-run=max-slot-connections"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (int i = 0; i < 3; ++i) open.push_back(open_one(supervisor));
  const auto status = nlohmann::json::parse(supervisor.wait_until_settled().json);
  EXPECT_EQ(status["listeners"][0]["would_refuse"], (nlohmann::json{{"max-slot-connections", 2}}));
  const Ran ran = supervisor.tell("route", {"127.0.0.1", "--explain"});
  EXPECT_THAT(ran.output, testing::HasSubstr("max-connections = 3\n")) << "in force";
  EXPECT_THAT(ran.output, testing::HasSubstr("max-slot-connections = 1, only counted"));
}

TEST(MaxConnections, IsToldAmongTheLimitsOfARoute) {
  const Supervisor supervisor(bounded({"--max-connections", "7", "--max-slot-connections", "5"}));
  supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("route", {"127.0.0.1", "--explain"});
  EXPECT_THAT(ran.output, testing::HasSubstr("max-connections = 7"));
  EXPECT_THAT(ran.output, testing::HasSubstr("max-slot-connections = 5, then overflow = next"));
}

TEST(MaxConnections, AFullSlotPassesNewClientsOn) {
  const Supervisor supervisor(bounded({"--max-slot-connections", "2"}));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (int i = 0; i < 4; ++i) open.push_back(open_one(supervisor));
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.slot(0).handed, 2u);
  EXPECT_EQ(status.slot(1).handed, 2u);
}

TEST(MaxConnections, AClientWaitsForHisOwnSlotWhereHeMay) {
  const Supervisor supervisor(bounded({"--max-slot-connections", "1", "--overflow", "wait", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  const int slot = supervisor.route("127.0.0.1");
  std::string other = "127.0.1.1";
  for (int i = 2; supervisor.route(other) == slot; ++i) other = "127.0." + std::to_string(i) + ".1";
  std::vector<HttpClient> open;
  open.push_back(open_one(supervisor));
  HttpClient waits(supervisor.target(), "127.0.0.1");
  waits.send("/");
  supervisor.wait_until("it waits", [](const StatusView& view) { return view.waiting == 1; });
  const HttpClient not_kept = open_one(supervisor, other);
  EXPECT_EQ(supervisor.status().waiting, 1u);
  open.pop_back();
  const auto answer = waits.receive();
  ASSERT_TRUE(answer) << name_of(waits.ending());
  EXPECT_EQ(answer->slot, slot);
}

TEST(MaxConnections, WhoWaitsIsServedByTheNextProgram) {
  const Supervisor supervisor(bounded({"--max-connections", "1", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  open.push_back(open_one(supervisor));
  HttpClient waits(supervisor.target());
  waits.send("/");
  supervisor.wait_until("it waits", [](const StatusView& view) { return view.waiting == 1; });
  const Ran ran = supervisor.tell("upgrade", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(supervisor.status().waiting, 1u);
  open.clear();
  EXPECT_TRUE(waits.receive()) << name_of(waits.ending());
}

// He waits for a worker to take up what it was sent, then the pool is bounded: from then on he waits for one to be closed.
TEST(MaxConnections, WhoWaitedWhenTheLimitCameIsServedUnderIt) {
  const TempDirectory directory;
  const auto write = [&](const std::string& limits) {
    write_text(directory / "web.toml",
               "[listeners.http]\naddress = \"127.0.0.1:0\"\n[pools.web]\nintake = \"sdk\"\nworkers = 1\n"
               "queue-limit = 1\nheartbeat-timeout = \"1h\"\ncommand = [\"" +
                   whoami_program() + "\"]\n" + limits);
  };
  write("");
  const Supervisor supervisor(plan_of_file(directory / "web.toml"));
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  std::vector<HttpClient> clients;
  for (std::size_t i = 1; i <= 2; ++i) {
    clients.emplace_back(supervisor.target()).send("/");
    supervisor.wait_until("it waits", [&](const StatusView& view) { return view.waiting == i; });
  }
  supervisor.wait_until("nobody is let in", [](const StatusView& view) { return view.listeners[0].paused; });
  write("max-connections = 1\nwait-timeout = \"1h\"\n");
  const Ran ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_FALSE(supervisor.status().listeners[0].paused) << "who waits for a close keeps nobody from being accepted";
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  EXPECT_TRUE(clients[0].receive()) << name_of(clients[0].ending());
  EXPECT_EQ(supervisor.status().waiting, 1u);
  clients[0].close();
  EXPECT_TRUE(clients[1].receive()) << name_of(clients[1].ending());
  EXPECT_TRUE(supervisor.wait_until_settled().balanced());
}

}  // namespace
}  // namespace holdfast::test
