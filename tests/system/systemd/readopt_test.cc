// A supervisor that is killed, and the next one that goes on with its workers: systemd keeps the descriptors between them.
#include <gmock/gmock.h>

#include "system/systemd/readopt.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

class KilledUnderLoad : public Readopt, public testing::WithParamInterface<WorkerKind> {};

TEST_P(KilledUnderLoad, TheWorkersGoOnAndNobodyIsRefused) {
  start(GetParam());
  if (IsSkipped()) return;
  const std::vector<pid_t> workers = status().pids();
  std::vector<HttpClient> kept;
  for (unsigned i = 0; i < 60; i++) {
    kept.emplace_back(target_, "127.1." + std::to_string(i) + ".1");
    ASSERT_TRUE(kept.back().get("/"));
  }
  LoadPlan plan;
  plan.target = target_;
  plan.sources = ipv4_sources(40);
  plan.at_a_time = 8;
  LoadLoop load(plan);
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));

  // Only what the supervisor itself held at the instant of its death ends with it: what one turn had accepted, where it passes
  // connections. More than are open at a time that cannot be.
  const bool steered = GetParam().lines.find("steer") != std::string::npos;
  const std::uint64_t most_lost = steered ? 0 : plan.at_a_time;
  constexpr int kKills = 20 / kSlowness;
  for (int i = 0; i < kKills; i++) {
    const std::uint64_t answered = load.answered();
    const std::uint64_t failed = load.failed();
    kill_supervisor();
    ASSERT_TRUE(eventually([&] { return load.answered() > answered + 50; })) << "kill " << i;
    EXPECT_LE(load.failed() - failed, most_lost) << "kill " << i;
    EXPECT_EQ(status().pids(), workers) << "kill " << i;
    EXPECT_TRUE(kept[static_cast<std::size_t>(i)].get("/")) << "kill " << i;
  }
  const LoadReport report = load.stop();
  RecordProperty("connections", static_cast<int>(report.connections()));
  EXPECT_EQ(report.endings.contains(Ending::Refused), false) << report.summary();
  EXPECT_EQ(report.endings.contains(Ending::TimedOut), false) << report.summary();
  if (steered) {
    EXPECT_EQ(report.failed(), 0U) << report.summary();
  }
  for (HttpClient& client : kept) EXPECT_TRUE(client.get("/"));
  EXPECT_TRUE(eventually([&] { return status().balanced() && status().waiting == 0; })) << status().json;
  kept.clear();  // or it would wait for them
  systemctl({"stop", kService});
  EXPECT_TRUE(processes().empty());
}
INSTANTIATE_TEST_SUITE_P(Planes, KilledUnderLoad,
                         testing::Values(WorkerKind{"Passed", "intake = \"sdk\"\n"},
                                         WorkerKind{"Steered", "intake = \"sdk\"\nplane = \"steer\"\n"},
                                         node_workers("cluster"), node_workers("sticky-session"),
                                         node_workers("plain")),
                         [](const auto& tested) { return tested.param.name; });

TEST_F(Readopt, AWorkerThatDiedMeanwhileIsReplaced) {
  start("intake = \"sdk\"\n");
  const std::vector<pid_t> workers = status().pids();
  // Nobody is there to see the worker die: the supervisor is stopped, then both are killed.
  const std::string supervisor = property("MainPID");
  send(SIGSTOP, supervisor);
  send(SIGKILL, workers[1]);
  send(SIGKILL, supervisor);
  EXPECT_TRUE(eventually([&] {
    const std::vector<pid_t> now = status().pids();
    return now.size() == kWorkers && now[0] == workers[0] && now[2] == workers[2] && now[1] != workers[1] && now[1] > 0;
  })) << status().json;
  EXPECT_THAT(machine_.journal(kService), HasSubstr("was killed: its workers go on"));
}

TEST_F(Readopt, AWrappedServerGoesOn) {
  start("intake = \"capture\"\n",
        R"("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/etc/holdfast", "8080")");
  const std::vector<pid_t> workers = status().pids();
  kill_supervisor();
  EXPECT_EQ(status().pids(), workers);
  EXPECT_TRUE(get_once(target_, "/web.toml"));
  // Its end is seen, although nobody knows how it ended, and its successor is captured like it.
  send(SIGKILL, workers[0]);
  EXPECT_TRUE(eventually([&] {
    const std::vector<pid_t> now = status().pids();
    return now.size() == kWorkers && now[0] != workers[0] && now[0] > 0 && status().all_serving();
  }));
  systemctl({"stop", kService});
  EXPECT_TRUE(processes().empty());
}

TEST_F(Readopt, AHungSupervisorIsReplacedAndItsWorkersGoOn) {
  machine_.write("/run/systemd/system/holdfast@.service.d/short.conf",
                 "[Service]\nWatchdogSec=10s\nTimeoutAbortSec=1s\n");
  systemctl({"daemon-reload"});
  start("intake = \"sdk\"\n");
  const std::vector<pid_t> workers = status().pids();
  const std::string before = property("MainPID");
  send(SIGSTOP, before);
  EXPECT_TRUE(eventually([&] { return property("MainPID") != before && status().all_serving(); }));
  EXPECT_EQ(status().pids(), workers);
}

TEST_F(Readopt, TheStoreHoldsNothingThatIsGone) {
  start("intake = \"sdk\"\n");
  const auto stored = [&] { return property("NFileDescriptorStore"); };
  EXPECT_TRUE(eventually([&] { return stored() != "0"; }));
  const std::string before = stored();
  for (int i = 0; i < 3; i++) {
    tell({"restart", "--wait"});
    kill_supervisor();
  }
  EXPECT_TRUE(eventually([&] { return stored() == before; })) << before << " became " << stored();
}

}  // namespace
}  // namespace holdfast::test
