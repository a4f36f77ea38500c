// The steer plane with the real binary: the kernel delivers each client to its slot, whatever happens to the workers.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "support/load_loop.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

class Steered : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Workers, Steered, testing::Values(captured(), inherited(), by_sdk()), name_of_way);

TEST_P(Steered, EachClientAlwaysMeetsTheSlotThatRouteNames) {
  const Supervisor supervisor(plan_of(GetParam()));
  supervisor.wait_until_serving();
  const nlohmann::json pool = nlohmann::json::parse(*supervisor.ask("status"))["pools"][0];
  EXPECT_EQ(pool["intake"], GetParam().intake);
  EXPECT_EQ(pool["plane"], "steer");
  const LoadReport report =
      LoadLoop(LoadPlan{supervisor.target(), ipv4_sources(300), 16, 900, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty());
  EXPECT_EQ(report.answered_by.size(), 3U);
  unsigned asked = 0;
  for (const auto& [source, slots] : report.slots) {
    if (++asked % 10 != 0) continue;
    const Ran ran = supervisor.tell("route", {"--json", source});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    EXPECT_EQ(slots, std::set<int>{nlohmann::json::parse(ran.output)["slot"].get<int>()}) << source;
  }
}

TEST_P(Steered, RestartsUnderLoadFailNobodyAndMoveNobody) {
  SupervisorPlan plan = plan_of(GetParam());
  plan.options.insert(plan.options.end(), {"--hold-timeout", "5m"});
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 100; }));
  for (int i = 0; i < 3; i++) {
    const Ran ran = supervisor.tell("restart", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  }
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 200; }));
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 3; })) << "old workers stay";
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  EXPECT_NE(supervisor.status().slot(0).pid, before.slot(0).pid);
}

TEST_P(Steered, WhatADeadWorkerHadNotAcceptedIsServedByTheNextOne) {
  SupervisorPlan plan = plan_of(GetParam());
  plan.workers = 1;
  const Supervisor supervisor(plan);
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  send_signal(first, SIGSTOP);
  std::vector<HttpClient> clients;
  for (int i = 0; i < 20; i++) {
    clients.emplace_back(supervisor.target(), "127.0.1." + std::to_string(i + 1));
    ASSERT_TRUE(clients.back().connected());
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait in the kernel", [](const StatusView& status) {
    return nlohmann::json::parse(status.json)["pools"][0]["slots"][0]["queued"] == 20;
  });
  send_signal(first, SIGKILL);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    EXPECT_NE(response->pid, first);
  }
}

TEST_P(Steered, KillsUnderLoadMoveNobody) {
  SupervisorPlan plan = plan_of(GetParam());
  plan.options.insert(plan.options.end(), {"--hold-timeout", "5m"});  // a starved machine is no reason to move anybody
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  for (unsigned i = 0; i < 6; i++) {
    const StatusView before = supervisor.wait_until_serving();
    const std::uint64_t answered = load.answered();
    ASSERT_TRUE(eventually([&] { return load.answered() > answered + 50; }));
    send_signal(before.slot(i % 3).pid, SIGKILL);
    supervisor.wait_until("it is replaced", [&](const StatusView& status) {
      return status.all_serving() && status.slot(i % 3).pid != before.slot(i % 3).pid;
    });
  }
  const LoadReport report = load.stop();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  // Only what the dead had taken up: cut, never refused and never left waiting.
  for (const Ending ending : {Ending::Refused, Ending::TimedOut, Ending::BadAnswer}) {
    EXPECT_FALSE(report.endings.contains(ending)) << report.summary();
  }
  EXPECT_LE(report.failed(), 6U * 16U) << report.summary();
}

TEST_P(Steered, ASecondSupervisorOnTheAddressIsRefusedAndTheFirstUntouched) {
  const Supervisor first(plan_of(GetParam()));
  first.wait_until_serving();
  std::vector<std::string> command = {holdfast_program(), "run",       "-l",
                                      first.address(),    "--control", first.directory() / "other"};
  command.insert(command.end(), GetParam().options.begin(), GetParam().options.end());
  command.push_back("--");
  command.insert(command.end(), GetParam().command.begin(), GetParam().command.end());
  const Ran second = run(command);
  EXPECT_EQ(second.exit_code, 69) << second.errors;
  const LoadReport report = LoadLoop(LoadPlan{first.target(), ipv4_sources(50), 8, 100, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
}

// What only some ways can show.

TEST(SteeredSlot, ThatStaysDownLendsItsClientsAndWhatWaitsIsCounted) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 2;
  plan.options = {"--hold-timeout",       "500ms", "--restart-delay",     "1h",
                  "--restart-delay-step", "1h",    "--restart-delay-max", "1h"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  send_signal(before.slot(0).pid, SIGKILL);
  supervisor.wait_until("slot 0 is down", [](const StatusView& status) { return status.slot(0).state == "backoff"; });
  supervisor.wait_until("slot 0 has lent its buckets",
                        [](const StatusView& status) { return status.slot(0).buckets == 0; });
  const LoadReport report = LoadLoop(LoadPlan{supervisor.target(), ipv4_sources(100), 8, 200, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  for (const auto& [source, slots] : report.slots) EXPECT_EQ(slots, std::set<int>{1}) << source;
  EXPECT_EQ(supervisor.tell("restart", {"--wait", "0"}).exit_code, 0);
  const StatusView after = supervisor.wait_until_serving();
  EXPECT_EQ(after.slot(0).buckets, before.slot(0).buckets);
}

// Clients go on coming to a slot whose worker accepts nobody, until they are sent elsewhere: of a queue that only stands still,
// because all came between two looks of a supervisor without a CPU, nobody can tell.
std::vector<HttpClient> come_until_lent(const Supervisor& supervisor, unsigned slot, const std::string& source) {
  std::vector<HttpClient> clients;
  supervisor.wait_until("slot " + std::to_string(slot) + " has lent its buckets", [&](const StatusView& status) {
    if (status.slot(slot).buckets == 0) return true;
    clients.emplace_back(supervisor.target(), source);
    clients.back().send("/", "close");
    return false;
  });
  return clients;
}

TEST(SteeredSlot, WhoseWorkerStopsToAcceptSendsNewClientsElsewhere) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 2;
  plan.command.emplace_back("blocking");
  plan.options = {"--hold-timeout", "1s"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  const Endpoint target = supervisor.target();
  const LoadReport healthy = LoadLoop(LoadPlan{target, ipv4_sources(40), 8, 40, "/", kPatience}).finish();
  send_signal(before.slot(0).pid, SIGSTOP);
  std::vector<HttpClient> stuck;
  std::string slot_0_source;
  for (const auto& [source, slots] : healthy.slots) {
    if (slots != std::set<int>{0}) continue;
    slot_0_source = source;
    stuck.emplace_back(target, source);
    ASSERT_TRUE(stuck.back().connected());
    stuck.back().send("/", "close");
  }
  ASSERT_FALSE(stuck.empty());
  const std::vector<HttpClient> late = come_until_lent(supervisor, 0, slot_0_source);
  const LoadReport elsewhere = LoadLoop(LoadPlan{target, ipv4_sources(40), 8, 80, "/", kPatience}).finish();
  EXPECT_EQ(elsewhere.failed(), 0U) << elsewhere.summary();
  for (const auto& [source, slots] : elsewhere.slots) EXPECT_EQ(slots, std::set<int>{1}) << source;

  send_signal(before.slot(0).pid, SIGCONT);
  for (HttpClient& client : stuck) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << "who waits is left to the worker that lives: " << name_of(client.ending());
    EXPECT_EQ(response->slot, 0);
  }
  supervisor.wait_until("its buckets are back",
                        [&](const StatusView& status) { return status.slot(0).buckets == before.slot(0).buckets; });
  EXPECT_EQ(supervisor.status().slot(0).pid, before.slot(0).pid) << "nobody is restarted for it";
}

TEST(SteeredSlot, WhoseRestartFailsWhileItsWorkerIsStalledHasItsClientsAgainWhenItGoesOn) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 2;
  plan.command = {"/bin/sh", "-c", "[ -e {dir}/broken ] && exit 3; exec python3 " + server() + " capture blocking"};
  plan.options = {"--hold-timeout", "1s"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  const LoadReport healthy = LoadLoop(LoadPlan{supervisor.target(), ipv4_sources(40), 8, 40, "/", kPatience}).finish();
  send_signal(before.slot(0).pid, SIGSTOP);
  std::vector<HttpClient> stuck;
  std::string slot_0_source;
  for (const auto& [source, slots] : healthy.slots) {
    if (slots != std::set<int>{0}) continue;
    slot_0_source = source;
    stuck.emplace_back(supervisor.target(), source);
    stuck.back().send("/", "close");
  }
  const std::vector<HttpClient> late = come_until_lent(supervisor, 0, slot_0_source);
  write_text(supervisor.directory() / "broken", "");
  EXPECT_NE(supervisor.tell("restart", {"--wait", "0"}).exit_code, 0);

  send_signal(before.slot(0).pid, SIGCONT);
  supervisor.wait_until("its buckets are back",
                        [&](const StatusView& status) { return status.slot(0).buckets == before.slot(0).buckets; });
  EXPECT_EQ(supervisor.status().slot(0).pid, before.slot(0).pid);
}

TEST(SteeredSlot, WhoseWorkerShutsItsListenerDownTouchesNoOther) {
  SupervisorPlan plan = plan_of(captured());
  plan.command.emplace_back("blocking");
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send("/shutdown");
  supervisor.wait_until_told("has shut its listening socket down");
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(60), 8, 200, "/", kPatience});
  for (unsigned slot = 0; slot < 3; slot++) send_signal(before.slot(slot).pid, SIGKILL);
  const LoadReport report = load.finish();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  EXPECT_EQ(report.endings.count(Ending::TimedOut), 0U) << report.summary();
}

TEST(Readiness, OfAWorkerThatSaysSoByNotify) {
  SupervisorPlan plan = plan_of(inherited());
  plan.command.emplace_back("ready=READY=1");
  plan.options.insert(plan.options.end(), {"--start-grace", "1h", "--start-timeout", "2h"});
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_NE(supervisor.errors().find("READY=1"), std::string::npos);
}

TEST(Readiness, AWorkerThatBeatsTheWatchdogOnceMustGoOn) {
  SupervisorPlan plan = plan_of(inherited());
  plan.workers = 1;
  plan.command.emplace_back("ready=READY=1\nWATCHDOG=1");
  plan.options.insert(plan.options.end(), {"--heartbeat-timeout", "300ms", "--start-limit", "0"});
  const Supervisor supervisor(plan);
  // Not first until it serves: it does so for 300 ms in each life, which nobody may be awake to see.
  supervisor.wait_until("it is replaced", [](const StatusView& status) { return status.slot(0).restarts > 0; });
  EXPECT_NE(supervisor.errors().find("it gave no heartbeat"), std::string::npos) << supervisor.errors();
}

TEST(Readiness, AWorkerThatBindsNothingThatClientsCouldMeetHasTakenTheInheritedSockets) {
  SupervisorPlan plan = plan_of(inherited());
  plan.workers = 1;
  plan.options = {"--start-timeout", "20s"};  // --intake auto
  plan.command.insert(plan.command.end(), {"netlink", "blocking"});
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_EQ(supervisor.errors().find("listens on"), std::string::npos) << supervisor.errors();
}

TEST(InheritedSockets, AreBlockingWhateverTheLastWorkerMadeOfThem) {
  SupervisorPlan plan = plan_of(inherited());
  plan.workers = 1;
  plan.command = {"/bin/sh", "-c",
                  "if [ -e {dir}/second ]; then set -- blocking; fi; exec python3 " + server() + " listen-fds \"$@\"",
                  "worker"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  const auto is_served = [&] {
    const LoadReport report = LoadLoop(LoadPlan{supervisor.target(), ipv4_sources(10), 2, 20, "/", kPatience}).finish();
    EXPECT_EQ(report.failed(), 0U) << report.summary();
  };
  is_served();
  write_text(supervisor.directory() / "second", "");
  send_signal(before.slot(0).pid, SIGKILL);
  supervisor.wait_until("it is replaced", [&](const StatusView& status) {
    return status.all_serving() && status.slot(0).pid != before.slot(0).pid;
  });
  is_served();
  EXPECT_EQ(supervisor.errors().find("BlockingIOError"), std::string::npos) << supervisor.errors();
}

// There is no moment at which the kernel takes clients and has no program.
TEST(SteeredStart, WhoComesWhileWorkersAreStartedWaitsAtTheSocketOfHisSlot) {
  SupervisorPlan plan;
  plan.workers = 64;
  plan.command = {"/bin/sh", "-c", "[ {slot} = 0 ] && echo $HOLDFAST_LISTENERS >{dir}/listeners; exec sleep 1000"};
  plan.options = {"--start-timeout", "1h", "--start-grace", "200ms"};
  const Supervisor supervisor(plan);
  std::string listeners;  // "main=127.0.0.1:8080"; the other workers are not there yet
  ASSERT_TRUE(eventually([&] {
    listeners = text_of(supervisor.directory() / "listeners");
    return listeners.ends_with('\n');
  }));
  listeners.pop_back();
  const Endpoint target = endpoint(listeners.substr(listeners.find('=') + 1));
  std::vector<HttpClient> clients;
  for (int i = 0; i < 50; i++) {
    clients.emplace_back(target, "127.0.1." + std::to_string(i + 1));
    ASSERT_TRUE(clients.back().connected());
  }
  const StatusView status = supervisor.wait_until_serving();
  std::uint64_t queued = 0;
  const nlohmann::json told = nlohmann::json::parse(status.json);
  for (const auto& slot : told["pools"][0]["slots"]) {
    queued += slot["queued"].get<std::uint64_t>();
  }
  EXPECT_EQ(queued, 50U);
  EXPECT_EQ(status.accepted, 0U);
}

// To the abstract socket whose name NOTIFY_SOCKET has, "@0001a".
void notify(const std::string& name, const std::string& text) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::sendto(fd, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&address), length),
            static_cast<ssize_t>(text.size()));
  (void)::close(fd);
}

TEST(Readiness, WhatIsSaidForAWorkerAfterItsEndHarmsNobody) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--intake", "listen-fds", "--start-grace", "50ms"};
  plan.command = {"/bin/sh", "-c", "echo $NOTIFY_SOCKET >{dir}/address; exec sleep 1000"};
  const Supervisor supervisor(plan);
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  std::string address = text_of(supervisor.directory() / "address");
  address.pop_back();  // the end of the line
  // One look of the supervisor finds the end of the worker, and then the message.
  supervisor.signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(supervisor.pid()) == "T"; }));
  send_signal(first, SIGKILL);
  ASSERT_TRUE(eventually([&] { return !alive(first); }));
  notify(address, "READY=1\nWATCHDOG=1");
  supervisor.signal(SIGCONT);
  supervisor.wait_until("it is replaced",
                        [&](const StatusView& status) { return status.all_serving() && status.slot(0).pid != first; });
}

TEST(Readiness, AWorkerThatFindsItsSocketListeningNeedNotListen) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 1;
  plan.command.emplace_back("listening");
  plan.command.emplace_back("blocking");
  plan.options = {"--intake", "capture", "--start-grace", "100ms", "--start-timeout", "1h"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST(Readiness, AWorkerThatGoesToTheBackgroundIsToldSo) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--intake", "capture", "--restart-delay-step", "1h", "--restart-delay-max", "1h"};
  plan.command = {"/bin/true"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_told("have it stay in the foreground");
}

TEST(Readiness, AWorkerThatIsSlowToBindIsNotTakenForOneThatInherits) {
  SupervisorPlan plan = plan_of(captured_plain());
  plan.workers = 1;
  plan.command = {"/bin/sh", "-c", "sleep 2.5; exec \"$@\"", "worker", plan.command[0], "capture"};
  plan.options.clear();  // --intake auto
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_NE(supervisor.errors().find("intake capture"), std::string::npos) << supervisor.errors();
  EXPECT_EQ(supervisor.errors().find("intake listen-fds"), std::string::npos) << supervisor.errors();
}

TEST(Readiness, AWorkerThatWaitsAtItsInheritedSocketsIsSeenToDoSo) {
  SupervisorPlan plan = plan_of(inherited());
  plan.workers = 1;
  plan.options = {"--start-timeout", "2h", "--start-grace", "2s"};  // --intake auto
  plan.command.emplace_back("blocking");
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  supervisor.wait_until_told("it waits at the sockets that it has inherited");
}

TEST(Readiness, AWorkerThatBindsElsewhereIsToldLongBeforeItsTimeIsOver) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 1;
  plan.command.emplace_back("elsewhere");
  plan.options = {"--intake", "capture", "--start-timeout", "1h", "--start-grace", "100ms"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_told("so far it listens on 127.0.0.1:");
}

TEST(Readiness, AWorkerThatOughtToInheritAndListensElsewhereIsToldWhere) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 1;
  plan.command.emplace_back("elsewhere");
  plan.options = {"--intake", "listen-fds", "--start-grace", "3s"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_told("if clients are to come there, it does not take inherited sockets");
}

TEST(Readiness, AWorkerThatBindsElsewhereIsToldWhere) {
  SupervisorPlan plan = plan_of(captured());
  plan.workers = 1;
  plan.command.emplace_back("elsewhere");
  plan.options = {"--intake", "capture", "--start-timeout", "2s"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_told("change its address, or -l");
  EXPECT_NE(supervisor.errors().find("and not on " + supervisor.address()), std::string::npos) << supervisor.errors();
}

// A worker that may be captured cannot capture others: to it the kernel is one without user notification.
class WithoutInterception : public testing::Test {
 protected:
  static SupervisorPlan inner(const std::vector<std::string>& options) {
    SupervisorPlan plan;
    plan.workers = 1;
    // Sockets that it inherits it would take for those of a service manager.
    plan.options = {"--start-limit", "1", "--intake", "capture"};
    plan.command = {holdfast_program(), "run", "-l", "127.0.0.1:0", "-w", "1", "--control", "{dir}/inner"};
    plan.command.insert(plan.command.end(), options.begin(), options.end());
    plan.command.insert(plan.command.end(), {"--", whoami_program()});
    return plan;
  }
};

TEST_F(WithoutInterception, CaptureIsRefusedWithTheIntakesThatWork) {
  const Supervisor outer(inner({"--intake", "capture"}));
  outer.wait_until_told("seccomp user notification");
  outer.wait_until_told("--intake listen-fds and --intake sdk work without");
  outer.wait_until_told("exited with code 1");
}

TEST_F(WithoutInterception, AutoDoesWithoutAndSaysSoOnce) {
  const Supervisor outer(inner({}));
  outer.wait_until_told("workers that bind for themselves cannot be served here");
  outer.wait_until_told("intake sdk, plane pass");
  EXPECT_EQ(outer.tell("stop", {"--wait"}).exit_code, 0);
}

TEST(SelfPlane, NeedsNoListenerAndDoesAllTheRest) {
  SupervisorPlan plan;
  plan.listen = {};
  plan.workers = 2;
  plan.options = {"--intake", "none", "--start-grace", "50ms", "--cpus", "0", "--pool", "engines"};
  plan.command = {"/bin/sh", "-c",
                  "echo $0 on {cpu} of {name} is {slot} of {slots}: pid $$ = {pid} >{dir}/said{slot}; exec sleep 1000",
                  "worker"};
  const Supervisor supervisor(plan);
  const StatusView status = supervisor.wait_until_serving();
  for (unsigned slot = 0; slot < 2; slot++) {
    const std::string pid = std::to_string(status.slot(slot).pid);
    const std::string number = std::to_string(slot);
    const std::string said = "worker on 0 of engines is " + number + " of 2: pid " + pid + " = " + pid + "\n";
    const std::filesystem::path where = supervisor.directory() / ("said" + number);
    EXPECT_TRUE(eventually([&] { return text_of(where) == said; })) << text_of(where);
  }
  send_signal(status.slot(1).pid, SIGKILL);
  supervisor.wait_until("it is replaced", [&](const StatusView& after) {
    return after.all_serving() && after.slot(1).pid != status.slot(1).pid;
  });
}

}  // namespace
}  // namespace holdfast::test
