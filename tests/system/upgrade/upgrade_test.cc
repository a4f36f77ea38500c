// The supervisor becomes another program under load: same process, same workers, and no client notices.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

std::uint64_t epoch_of(const StatusView& status) {
  return nlohmann::json::parse(status.json)["epoch"].get<std::uint64_t>();
}

Ran upgrade(const Supervisor& supervisor, const std::string& binary = "") {
  std::vector<std::string> arguments = {"--wait"};
  if (!binary.empty()) arguments.insert(arguments.end(), {"--binary", binary});
  return supervisor.tell("upgrade", arguments);
}

std::string script(const TempDirectory& directory, const std::string& name, const std::string& text) {
  const std::string path = directory / name;
  write_text(path, text);
  EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
  return path;
}

Way passed() { return {"passed", {}, {whoami_program()}, "sdk"}; }

class Upgrades : public testing::TestWithParam<Way> {};
// A starved machine is no reason to move anybody, nor to take a worker for hung.
SupervisorPlan patient_plan(const Way& way) {
  SupervisorPlan plan = plan_of(way);
  plan.options.insert(plan.options.end(), {"--hold-timeout", "5m", "--heartbeat-timeout", "5m"});
  return plan;
}
INSTANTIATE_TEST_SUITE_P(Workers, Upgrades, testing::Values(passed(), by_sdk(), captured_plain(), inherited_plain()),
                         name_of_way);

TEST_P(Upgrades, UnderLoadFailNobodyAndKeepProcessWorkersAndCounters) {
  const Supervisor supervisor(patient_plan(GetParam()));
  const StatusView before = supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  const bool keeps_open = GetParam().intake == "sdk";
  for (int i = 0; keeps_open && i < 20; i++) {
    open.emplace_back(supervisor.target(), "127.0.3." + std::to_string(i + 1));
    ASSERT_TRUE(open.back().get("/"));
  }
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  constexpr unsigned kUpgrades = 20;
  for (unsigned i = 0; i < kUpgrades; i++) {
    const std::uint64_t answered = load.answered();
    ASSERT_TRUE(eventually([&] { return load.answered() > answered + 20; })) << "the load does not flow";
    const bool broken = i == kUpgrades / 2;
    const Ran ran = upgrade(supervisor, broken ? "/bin/false" : "");
    ASSERT_EQ(ran.exit_code, broken ? 1 : 0) << ran.errors;
  }
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 100; }));
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  const StatusView after = supervisor.wait_until_settled();
  EXPECT_EQ(epoch_of(after), kUpgrades - 1);
  EXPECT_EQ(after.pid, before.pid);
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(after.restarts(), 0U);
  EXPECT_GE(after.uptime, before.uptime);
  EXPECT_EQ(after.refused_in_all(), 0U);
  if (std::string(GetParam().name) == "passed") {
    EXPECT_EQ(after.accepted, report.connections() + open.size());
  }
  for (HttpClient& client : open) EXPECT_TRUE(client.get("/")) << name_of(client.ending());
}

TEST_P(Upgrades, AreFollowedByRestartsAsBefore) {
  const Supervisor supervisor(patient_plan(GetParam()));
  const StatusView before = supervisor.wait_until_serving();
  ASSERT_EQ(upgrade(supervisor).exit_code, 0);
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  const Ran ran = supervisor.tell("restart", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  ASSERT_EQ(upgrade(supervisor).exit_code, 0);  // some drain now
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == before.slots.size(); }))
      << "old workers stay";
  send_signal(supervisor.status().slot(0).pid, SIGKILL);
  const StatusView after = supervisor.wait_until("the killed one is replaced", [](const StatusView& status) {
    return status.all_serving() && status.slot(0).restarts == 2;
  });
  EXPECT_EQ(after.slot(0).last_exit, "killed by signal 9 (SIGKILL)");
}

TEST(Upgrade, CarriesWhatWaitsForAWorker) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--queue-limit", "8", "--overflow", "wait", "--heartbeat-timeout", "0"};
  const Supervisor supervisor(plan);
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(worker, SIGSTOP);
  constexpr std::uint64_t kClients = 20;
  std::vector<HttpClient> clients;
  for (std::uint64_t i = 0; i < kClients; ++i) {
    clients.emplace_back(supervisor.target());
    clients.back().send("/", "close");
  }
  const StatusView held = supervisor.wait_until("the channel is full and one has no place",
                                                [](const StatusView& status) { return status.waiting == 9; });
  for (int i = 0; i < 3; i++) ASSERT_EQ(upgrade(supervisor).exit_code, 0);
  const StatusView carried = supervisor.status();
  EXPECT_EQ(carried.waiting, held.waiting);
  EXPECT_EQ(carried.accepted, held.accepted);
  EXPECT_TRUE(carried.balanced()) << carried.json;
  EXPECT_TRUE(carried.listeners.at(0).paused);
  send_signal(worker, SIGCONT);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    EXPECT_EQ(response->pid, worker);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, kClients);
}

TEST(Upgrade, GoesOnToCaptureWorkersThatHaveNotBoundYet) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 1;
  std::string command = "until test -e {dir}/go; do sleep 0.05; done; exec";
  for (const std::string& word : plan.command) command += " '" + word + "'";
  plan.command = {"/bin/sh", "-c", command};
  const Supervisor supervisor(plan);
  const pid_t worker =
      supervisor.wait_until("a worker starts", [](const StatusView& status) { return status.slot(0).pid > 0; })
          .slot(0)
          .pid;
  ASSERT_EQ(upgrade(supervisor).exit_code, 0);
  write_text(supervisor.directory() / "go", "");
  const StatusView status = supervisor.wait_until("it is captured", [](const StatusView& seen) {
    return nlohmann::json::parse(seen.json)["pools"][0]["intake"] == "capture" && seen.all_serving();
  });
  EXPECT_EQ(status.slot(0).pid, worker);
  const std::optional<Response> response = get_once(supervisor.target(), "/");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->pid, worker);
}

TEST(Upgrade, WaitsForTheEndOfAReload) {
  const TempDirectory directory;
  const std::string file = directory / "web.toml";
  const auto write = [&](const std::string& round) {
    write_text(file, "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\ncommand = [\"" + whoami_program() +
                         "\"]\nworkers = 3\ncanary = \"200ms\"\nenvironment = { ROUND = \"" + round + "\" }\n");
  };
  write("0");
  const Supervisor supervisor(plan_of_file(file), &directory);
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  for (unsigned round = 1; round <= 5; round++) {
    write(std::to_string(round));
    ASSERT_EQ(supervisor.tell("reload").exit_code, 0);
    const Ran ran = upgrade(supervisor);
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const StatusView after = supervisor.status();
    EXPECT_EQ(epoch_of(after), round);
    EXPECT_EQ(nlohmann::json::parse(after.json)["reload_failed"], false);
    EXPECT_TRUE(after.all_serving());
    for (const SlotView& slot : after.slots) EXPECT_EQ(slot.generation, round + 1);
  }
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  // What is in force came along, so the file is compared with the right thing.
  const Ran again = supervisor.tell("reload", {"--wait"});
  EXPECT_THAT(again.output, HasSubstr("nothing has changed")) << again.errors;
}

TEST(Upgrade, KeepsTheConfigurationInForceWhateverTheFileSaysByNow) {
  const TempDirectory directory;
  const std::string file = directory / "web.toml";
  write_text(file, "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\ncommand = [\"" + whoami_program() +
                       "\"]\nworkers = 2\n");
  const Supervisor supervisor(plan_of_file(file), &directory);
  const StatusView before = supervisor.wait_until_serving();
  write_text(file, "not a configuration at all");
  const Ran ran = upgrade(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
  EXPECT_EQ(supervisor.tell("reload", {"--wait"}).exit_code, 78);
}

TEST(Upgrade, FromANewerVersionAndBack) {
  SupervisorPlan plan;
  plan.environment = {"HOLDFAST_REAL_PROGRAM=" + holdfast_program()};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  const std::string other = source_file("tests/system/upgrade/other_version.py");
  Ran ran = upgrade(supervisor, other);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  supervisor.wait_until_told("takes over from 9.9.9");
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
  ran = upgrade(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  const StatusView after = supervisor.wait_until_settled();
  EXPECT_EQ(epoch_of(after), 2U);
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(after.accepted, 1U);
}

TEST(Upgrade, ToWhatCannotReadTheStateIsRefusedWithTheReasonOfTheNewProgram) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.environment = {"HOLDFAST_REAL_PROGRAM=" + holdfast_program()};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  for (const std::string word : {"format", "needs"}) {
    const std::string other = directory / word;
    std::filesystem::create_symlink(source_file("tests/system/upgrade/other_version.py"), other);
    const Ran ran = upgrade(supervisor, other);
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_THAT(ran.errors, HasSubstr(word == "format" ? "holdfast 9.9.9 wrote it in format 2" : "'telepathy'"));
  }
  const StatusView after = supervisor.status();
  EXPECT_EQ(epoch_of(after), 0U);
  EXPECT_EQ(after.pids(), before.pids());
}

TEST(Upgrade, ToABrokenProgramLeavesTheOldOneServingAndSaysWhy) {
  const TempDirectory directory;
  write_text(directory / "data", "\x01\x02");
  const std::string nothing = directory / "nothing";
  const std::string data = directory / "data";
  const std::string text = script(directory, "text", "\x7f no program");
  const std::string crash = script(directory, "crash", "#!/bin/sh\nkill -SEGV $$\n");
  const std::string words = script(directory, "words", "#!/bin/sh\necho out of luck >&2\nexit 1\n");
  const std::string flood = script(directory, "flood", "#!/bin/sh\nyes\n");
  const std::vector<std::pair<std::string, std::string>> cases = {{nothing, "No such file or directory"},
                                                                  {data, "Permission denied"},
                                                                  {text, "Exec format error"},
                                                                  {crash, "SIGSEGV"},
                                                                  {words, "exited with code 1: out of luck"},
                                                                  {"/bin/true", "is no holdfast that can take over"},
                                                                  {flood, "check-upgrade exited with code 1"}};
  const Supervisor supervisor;
  const StatusView before = supervisor.wait_until_serving();
  for (const auto& [program, why] : cases) {
    const Ran ran = upgrade(supervisor, program);
    EXPECT_EQ(ran.exit_code, 1) << program;
    EXPECT_THAT(ran.errors, HasSubstr(why)) << program;
    EXPECT_TRUE(get_once(supervisor.target(), "/")) << program;
  }
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  EXPECT_EQ(children_of(supervisor.pid()).size(), 2U) << "a check was left behind";
  ASSERT_EQ(upgrade(supervisor).exit_code, 0);
}

TEST(Upgrade, BySignalAndASignalInItsMidstIsNotLost) {
  for (int i = 0; i < 8; i++) {
    Supervisor supervisor;
    supervisor.wait_until_serving();
    supervisor.signal(SIGUSR2);
    if (i % 2 == 1) let_pass(std::chrono::milliseconds(5) * i);
    supervisor.signal(SIGTERM);
    EXPECT_EQ(supervisor.wait_for_exit(), 0);
  }
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  supervisor.signal(SIGUSR2);
  supervisor.wait_until("it is another program", [](const StatusView& status) { return epoch_of(status) == 1; });
}

TEST(Upgrade, WhileItStopsIsRefused) {
  const Supervisor supervisor;
  const StatusView before = supervisor.wait_until_serving();
  send_signal(before.slot(0).pid, SIGSTOP);
  supervisor.signal(SIGTERM);
  supervisor.wait_until("it stops", [](const StatusView& status) { return status.state == "stopping"; });
  const Ran ran = upgrade(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the supervisor is stopping"));
  send_signal(before.slot(0).pid, SIGCONT);
}

}  // namespace
}  // namespace holdfast::test
