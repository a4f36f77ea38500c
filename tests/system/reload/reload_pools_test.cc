// Pools that come and go while the others serve.
#include <gmock/gmock.h>
#include <signal.h>

#include <future>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ReloadPools : public testing::Test {
 protected:
  ReloadPools() { write(web()); }

  static std::string pool(const std::string& name, const std::string& command = whoami_program()) {
    return "[listeners." + name + "]\naddress = \"127.0.0.1:0\"\npool = \"" + name + "\"\n[pools." + name +
           "]\nworkers = 2\nrestart-delay = \"1ms\"\nrestart-delay-step = \"1ms\"\nstart-limit = 3\n"
           "command = [\"/bin/sh\", \"-c\", \"exec " +
           command + "\"]\n";
  }
  static std::string web() { return pool("web"); }
  void write(const std::string& text) { write_text(file_, text); }

  [[nodiscard]] SupervisorPlan plan() const { return plan_of_file(file_); }
  [[nodiscard]] static Ran reload(const Supervisor& supervisor) { return supervisor.tell("reload", {"--wait"}); }
  [[nodiscard]] static std::vector<std::string> pools_of(const StatusView& status) {
    std::vector<std::string> names;
    const nlohmann::json parsed = nlohmann::json::parse(status.json);
    for (const auto& entry : parsed["pools"]) names.push_back(entry["name"]);
    return names;
  }

  TempDirectory directory_;
  std::string file_ = directory_ / "web.toml";
};

TEST_F(ReloadPools, OneComesAndServesAndGoesAgainAndItsNumbersStay) {
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  write(web() + pool("game"));
  const Ran added = reload(supervisor);
  ASSERT_EQ(added.exit_code, 0) << added.errors;
  EXPECT_THAT(added.output, HasSubstr("pool game is added"));
  EXPECT_THAT(pools_of(supervisor.status()), ElementsAre("web", "game"));
  const Endpoint game = supervisor.target(1);
  HttpClient player(game);
  for (int i = 0; i < 10; i++) ASSERT_TRUE(player.get("/"));
  const std::uint64_t accepted = supervisor.status().listeners[1].accepted;
  EXPECT_GT(accepted, 0U);

  write(web());
  const Ran removed = reload(supervisor);
  ASSERT_EQ(removed.exit_code, 0) << removed.errors;
  EXPECT_THAT(removed.output, HasSubstr("pool game is removed"));
  EXPECT_TRUE(eventually([&] { return !HttpClient(game).connected(); }));
  EXPECT_TRUE(player.get("/")) << "its worker drains: who is connected is served";
  player.close();
  const StatusView after = supervisor.wait_until(
      "it is gone", [](const StatusView& status) { return pools_of(status) == std::vector<std::string>{"web"}; });
  EXPECT_EQ(after.listeners.size(), 1U);
  EXPECT_GE(after.accepted - after.listeners[0].accepted, accepted);
  EXPECT_EQ(after.pids(), before.pids());
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  supervisor.wait_until_settled();
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 2; }));
}

TEST_F(ReloadPools, OneThatComesIsThereWhenItsSlotsServeOrAreDrained) {
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  const std::string starts_for_ever = "sh -c '[ {slot} = 1 ] && exec sleep 3600; exec " + whoami_program() + "'";
  write(web() + pool("game", starts_for_ever) + "intake = \"sdk\"\nstart-timeout = \"1h\"\n");
  std::future<Ran> reloading = std::async(std::launch::async, [&] { return reload(supervisor); });
  supervisor.wait_until_told("game/1: started pid");
  ASSERT_EQ(supervisor.tell("drain", {"--wait", "game/1"}).exit_code, 0);
  const Ran ran = reloading.get();
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
}

TEST_F(ReloadPools, OneInWhichNoWorkerComesUpIsTakenBackAndWhatWasToGoStays) {
  write(web() + pool("old"));
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write(web() + pool("game", "sh -c 'echo out of luck; exit 3'"));
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("rolled back"));
  EXPECT_THAT(ran.errors, HasSubstr("out of luck"));
  supervisor.wait_until("it is gone", [](const StatusView& status) {
    return pools_of(status) == std::vector<std::string>{"web", "old"};
  });
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  ASSERT_TRUE(get_once(supervisor.target(1), "/"));
  write(web());
  const Ran next = reload(supervisor);
  EXPECT_EQ(next.exit_code, 0) << next.errors;
  EXPECT_THAT(next.output, testing::Not(HasSubstr("game"))) << "what was taken back does not count as loaded";
  supervisor.wait_until("old is gone", [](const StatusView& status) { return pools_of(status).size() == 1; });
}

TEST_F(ReloadPools, OneWhoseProgramIsMissingMeansThatNothingIsChanged) {
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  write(web() +
        "[listeners.game]\naddress = \"127.0.0.1:0\"\npool = \"game\"\n[pools.game]\ncommand = [\"/nowhere\"]\n");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_THAT(ran.errors, HasSubstr("nothing was changed: "));
  EXPECT_THAT(ran.errors, HasSubstr("/nowhere"));
  EXPECT_THAT(pools_of(supervisor.status()), ElementsAre("web"));
}

TEST_F(ReloadPools, TheSupervisorStopsWhileOneGoes) {
  write(web() + pool("old"));
  Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  HttpClient somebody(supervisor.target(1));
  ASSERT_TRUE(somebody.get("/"));
  write(web());
  ASSERT_EQ(reload(supervisor).exit_code, 0);
  EXPECT_THAT(pools_of(supervisor.status()), ElementsAre("web", "old")) << "it drains";
  supervisor.signal(SIGTERM);
  supervisor.wait_until_told("stopping gracefully");
  somebody.close();
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

// Reloads that come while one is under way are one more, with the last word of the file.
TEST_F(ReloadPools, ReloadsDoNotRunInEachOther) {
  write(web() + "canary = \"1s\"\n");
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  write(web() + "canary = \"1s\"\nenvironment = { ROUND = \"1\" }\n");
  ASSERT_EQ(supervisor.tell("reload").exit_code, 0);
  supervisor.wait_until_told("generation 2 replaces 1");
  write(web() + "canary = \"0s\"\nenvironment = { ROUND = \"2\" }\n");
  const Ran ran = reload(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("ROUND: \"1\" -> \"2\""));
}

}  // namespace
}  // namespace holdfast::test
