// More workers, fewer, and none in a slot for a while: nobody fails, and only the clients move that must.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

std::set<int> slots_of(const Endpoint& target, const std::string& source) {
  const std::optional<Response> response = get_once(target, "/", source);
  return response ? std::set<int>{response->slot} : std::set<int>{};
}

class Scale : public testing::TestWithParam<const char*> {
 protected:
  SupervisorPlan plan(unsigned workers) const {
    SupervisorPlan plan;
    plan.workers = workers;
    plan.options = {"--plane", GetParam()};
    return plan;
  }
};
INSTANTIATE_TEST_SUITE_P(InPlane, Scale, testing::Values("pass", "steer"),
                         [](const auto& plane) { return std::string(plane.param); });

TEST_P(Scale, UpAndDownUnderLoadFailsNobody) {
  const Supervisor supervisor(plan(2));
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 100; }));
  for (const char* size : {"5", "1", "3"}) {
    const Ran ran = supervisor.tell("scale", {"--wait", size});
    ASSERT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
    const std::uint64_t answered = load.answered();
    EXPECT_TRUE(eventually([&] { return load.answered() > answered + 200; }));
  }
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.slots.size(), 3U);
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 3; }))
      << "workers of slots that left stay";
}

TEST_P(Scale, MovesOnlyTheClientsThatTheNewSlotReceives) {
  const Supervisor supervisor(plan(3));
  supervisor.wait_until_serving();
  const std::vector<std::string> sources = ipv4_sources(200);
  std::map<std::string, std::set<int>> before;
  for (const std::string& source : sources) before[source] = slots_of(supervisor.target(), source);
  const Ran told = supervisor.tell("scale", {"--json", "--dry-run", "4"});
  ASSERT_EQ(told.exit_code, 0) << told.errors;
  const nlohmann::json answer = nlohmann::json::parse(told.output);
  EXPECT_EQ(answer["moved_buckets"], 128);
  EXPECT_EQ(supervisor.status().slots.size(), 3U) << "a dry run changes nothing";

  ASSERT_EQ(supervisor.tell("scale", {"--wait", "main", "4"}).exit_code, 0);
  unsigned moved = 0;
  for (const std::string& source : sources) {
    const std::set<int> now = slots_of(supervisor.target(), source);
    if (now == before[source]) continue;
    moved++;
    EXPECT_EQ(now, std::set<int>{3}) << source << " moved between old slots";
  }
  EXPECT_GT(moved, 200U / 4 / 2);
  EXPECT_LT(moved, 200U / 4 * 2);
  if (GetParam() == std::string("steer")) {
    EXPECT_FALSE(answer.contains("clients")) << "the kernel does not tell who came";
  } else {
    EXPECT_NEAR(answer["clients"].get<double>(), 200, 2);
    EXPECT_NEAR(answer["moved_clients"].get<double>(), moved, 2);
  }
}

TEST_P(Scale, UnderSlowStartNewSlotsGetTheirClientsOverTime) {
  SupervisorPlan slow = plan(2);
  slow.options.insert(slow.options.end(), {"--slow-start", "10h"});
  const Supervisor supervisor(slow);
  supervisor.wait_until_serving();
  ASSERT_EQ(supervisor.tell("scale", {"3"}).exit_code, 0);
  const StatusView first = supervisor.wait_until("the first step is made", [](const StatusView& status) {
    return status.slots.size() == 3 && status.slot(2).buckets > 0;
  });
  EXPECT_NEAR(first.slot(2).buckets, 512.0 / 3 / 16, 1);
  ASSERT_EQ(supervisor.tell("scale", {"--wait", "2"}).exit_code, 0) << "it can be taken back";
  EXPECT_EQ(supervisor.status().slots.size(), 2U);
}

TEST_P(Scale, SlowStartEndsAndScaleWaitsForItsEnd) {
  SupervisorPlan slow = plan(2);
  slow.options.insert(slow.options.end(), {"--slow-start", "500ms"});
  const Supervisor supervisor(slow);
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 100; }));
  ASSERT_EQ(supervisor.tell("scale", {"--wait", "3"}).exit_code, 0);
  EXPECT_NEAR(supervisor.status().slot(2).buckets, 512.0 / 3, 1);
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  for (const std::string& source : report.moved()) EXPECT_TRUE(report.slots.at(source).contains(2)) << source;
}

// Where a key belongs to its slot by arithmetic: whoever had other slots meanwhile comes back bit by bit, a successor has all at once.
TEST(ScaleByKey, UnderSlowStartASlotThatWasAwayGetsItsClientsOverTime) {
  SupervisorPlan plan;
  plan.workers = 3;
  plan.options = {"--intake", "sdk", "--placement", "crc32", "--slow-start", "10h"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const std::vector<std::string> sources = ipv4_sources(90);
  const auto where = [&] {
    std::map<std::string, std::set<int>> slots;
    for (const std::string& source : sources) slots[source] = slots_of(supervisor.target(), source);
    return slots;
  };
  const auto of_slot = [](const std::map<std::string, std::set<int>>& slots, int slot) {
    return std::count_if(slots.begin(), slots.end(), [&](const auto& each) { return each.second == std::set{slot}; });
  };
  const auto homes = where();
  ASSERT_GT(of_slot(homes, 1), 15);
  ASSERT_EQ(supervisor.tell("restart", {"--wait", "main/1"}).exit_code, 0);
  EXPECT_EQ(where(), homes);
  ASSERT_EQ(supervisor.tell("drain", {"--wait", "main/1"}).exit_code, 0);
  EXPECT_EQ(of_slot(where(), 1), 0);
  ASSERT_EQ(supervisor.tell("undrain", {"--wait", "main/1"}).exit_code, 0);
  const auto slots = where();
  EXPECT_LE(of_slot(slots, 1), of_slot(homes, 1) / 2) << "a tenth, more or less";
  for (const auto& [source, home] : homes) {
    EXPECT_TRUE(home == std::set{1} || slots.at(source) == home) << source;
  }
  ASSERT_EQ(supervisor.tell("scale", {"4"}).exit_code, 0);
  supervisor.wait_until(
      "it serves", [](const StatusView& status) { return status.slots.size() == 4 && status.slot(3).buckets > 0; });
  EXPECT_LE(of_slot(where(), 3), 11) << "of its 22";
}

TEST_P(Scale, ADrainedSlotHasNoClientsUntilItIsFilledAgain) {
  const Supervisor supervisor(plan(2));
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  ASSERT_EQ(supervisor.tell("drain", {"--wait", "main/0"}).exit_code, 0);
  const StatusView drained = supervisor.status();
  EXPECT_EQ(drained.slot(0).state, "drained");
  EXPECT_EQ(drained.slot(0).buckets, 0U);
  EXPECT_EQ(slots_of(supervisor.target(), "127.9.0.1"), std::set<int>{1});
  ASSERT_EQ(supervisor.tell("undrain", {"--wait", "0"}).exit_code, 0);
  const StatusView filled = supervisor.wait_until("the buckets are back", [&](const StatusView& status) {
    return status.slot(0).buckets == before.slot(0).buckets;
  });
  EXPECT_NE(filled.slot(0).pid, before.slot(0).pid);
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
}

std::uint64_t epoch_of(const StatusView& status) {
  return nlohmann::json::parse(status.json)["epoch"].get<std::uint64_t>();
}

TEST(ADrainedSlot, IsNoPartOfARestartAndHoldsNoUpgradeUp) {
  SupervisorPlan plan;
  plan.workers = 3;
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  ASSERT_EQ(supervisor.tell("drain", {"--wait", "1"}).exit_code, 0);
  const Ran named = supervisor.tell("restart", {"--wait", "1"});
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_NE(named.errors.find("slot 1 is drained"), std::string::npos) << named.errors;
  const Ran all = supervisor.tell("restart", {"--wait"});
  ASSERT_EQ(all.exit_code, 0) << all.errors;
  const StatusView after = supervisor.status();
  EXPECT_NE(after.slot(0).pid, before.slot(0).pid);
  EXPECT_EQ(after.slot(1).state, "drained");
  EXPECT_NE(after.slot(2).pid, before.slot(2).pid);
  ASSERT_EQ(supervisor.tell("upgrade", {"--wait"}).exit_code, 0) << supervisor.errors();
  EXPECT_EQ(supervisor.status().slot(1).state, "drained");
}

TEST(ADrainedSlot, EndsTheRestartThatWaitedForItAndWhatWaitedForThat) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--canary", "1h"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  ASSERT_EQ(supervisor.tell("restart").exit_code, 0);
  supervisor.wait_until("there is a successor", [](const StatusView& s) { return s.slot(0).others.size() == 1; });
  send_signal(supervisor.pid(), SIGUSR2);
  supervisor.wait_until_told("upgrade: waiting: pool main: a restart replaces its workers");
  ASSERT_EQ(supervisor.tell("drain", {"0"}).exit_code, 0);
  supervisor.wait_until("it is another program", [](const StatusView& status) { return epoch_of(status) == 1; });
  supervisor.wait_until("it is empty", [](const StatusView& status) { return status.slot(0).state == "drained"; });
}

TEST(ADrainedSlot, WhoseWorkerAskedNotToBeRestartedIsFilledOrSaysWhyNot) {
  SupervisorPlan plan;
  plan.command = {"/bin/sh", "-c", "[ -e {dir}/off ] && exit 78; exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  write_text(supervisor.directory() / "off", "");
  send_signal(before.slot(0).pid, SIGKILL);
  supervisor.wait_until("it is stopped", [](const StatusView& status) { return status.slot(0).state == "stopped"; });
  ASSERT_EQ(supervisor.tell("drain", {"--wait", "0"}).exit_code, 0);
  const Ran failed = supervisor.tell("undrain", {"--wait", "0"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_NE(failed.errors.find("78"), std::string::npos) << failed.errors;
  std::filesystem::remove(supervisor.directory() / "off");
  ASSERT_EQ(supervisor.tell("undrain", {"--wait", "0"}).exit_code, 0);
  EXPECT_TRUE(supervisor.status().all_serving());
}

TEST(ScaleBySignal, OneWorkerMoreAndOneLess) {
  SupervisorPlan plan;
  plan.workers = 2;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  send_signal(supervisor.pid(), SIGTTIN);
  supervisor.wait_until("there are three", [](const StatusView& s) { return s.slots.size() == 3 && s.all_serving(); });
  send_signal(supervisor.pid(), SIGTTOU);
  supervisor.wait_until("there are two", [](const StatusView& status) { return status.slots.size() == 2; });
  send_signal(supervisor.pid(), SIGWINCH);
  supervisor.wait_until("all are drained", [](const StatusView& status) {
    return status.slot(0).state == "drained" && status.slot(1).state == "drained";
  });
}

// Every terminal sends it when its window changes.
TEST(ScaleBySignal, AWindowThatChangesDrainsNobody) {
  const auto closed = [](std::FILE* file) { (void)std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(closed)> file(::fdopen(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "r+"),
                                                          closed);
  ASSERT_NE(file, nullptr);
  const int terminal = ::fileno(file.get());
  ASSERT_TRUE(::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0);
  std::array<char, 64> name{};
  ASSERT_EQ(::ptsname_r(terminal, name.data(), name.size()), 0);
  SupervisorPlan plan;
  plan.workers = 2;
  plan.options = {"--log-level", "debug"};
  plan.terminal = name.data();
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  const winsize narrow{20, 40, 0, 0};
  ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &narrow), 0);
  supervisor.wait_until_told("SIGWINCH");
  send_signal(supervisor.pid(), SIGTTIN);  // what comes after it
  const StatusView after = supervisor.wait_until(
      "there are three", [](const StatusView& s) { return s.slots.size() == 3 && s.all_serving(); });
  EXPECT_EQ(after.slot(0).pid, before.slot(0).pid);
}

// Within ten seconds, which is how often it looks.
TEST(ScaleByCpus, AutoFollowsTheCpusThatTheSupervisorMayUse) {
  cpu_set_t ours;
  ASSERT_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
  if (CPU_COUNT(&ours) < 2) GTEST_SKIP() << "this needs two CPUs";
  const auto all = static_cast<std::size_t>(CPU_COUNT(&ours));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
    if (CPU_ISSET(cpu, &ours)) CPU_SET(cpu, &one);
  }
  SupervisorPlan plan;
  plan.workers = 0;
  plan.options = {"-w", "auto"};
  const Supervisor supervisor(plan);
  ASSERT_EQ(supervisor.wait_until_serving().slots.size(), all) << "is there a quota?";
  ASSERT_EQ(sched_setaffinity(supervisor.pid(), sizeof one, &one), 0);
  supervisor.wait_until("there is one worker", [](const StatusView& status) { return status.slots.size() == 1; });
  supervisor.wait_until_told("1 CPUs may be used");
  ASSERT_EQ(sched_setaffinity(supervisor.pid(), sizeof ours, &ours), 0);
  supervisor.wait_until("there are all",
                        [&](const StatusView& status) { return status.slots.size() == all && status.all_serving(); });
}

TEST(ScaleBadInput, IsToldAndChangesNothing) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{{"scale", "0"},
                                                                                   {"scale", "257"},
                                                                                   {"scale", "many"},
                                                                                   {"scale", "kitchen", "3"},
                                                                                   {"drain", "9"},
                                                                                   {"drain", "main"}}) {
    const Ran ran = supervisor.tell(bad.front(), {bad.begin() + 1, bad.end()});
    EXPECT_EQ(ran.exit_code, 2) << bad.back() << ran.output;
    EXPECT_NE(ran.errors.find("holdfast: "), std::string::npos) << bad.back();
  }
  EXPECT_EQ(supervisor.status().slots.size(), 2U);
}

}  // namespace
}  // namespace holdfast::test
