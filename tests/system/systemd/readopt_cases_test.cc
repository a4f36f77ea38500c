// What may be under way when a supervisor is killed, and what it cannot leave to the next one.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "system/bus/redis_fixture.h"
#include "system/systemd/readopt.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

class KilledWhileItReplaces : public Readopt, public testing::WithParamInterface<WorkerKind> {};

// Whatever is under way when it is killed: there is one worker for each slot afterwards, and nobody was refused.
TEST_P(KilledWhileItReplaces, ItsWorkersNoWorkerIsLeftBehind) {
  WorkerKind kind = GetParam();
  kind.lines += "surge = 3\n";
  start(kind);
  if (IsSkipped()) return;
  LoadPlan plan;
  plan.target = target_;
  plan.sources = ipv4_sources(40);
  plan.at_a_time = 4;
  LoadLoop load(plan);
  constexpr int kKills = 16;
  for (int i = 0; i < kKills / kSlowness; i++) {
    // One command, for between two of them a restart would be over: another instant each time.
    const std::string milliseconds = std::to_string(100 + 2 * i).substr(1);
    kill_supervisor("/run/machine/bin/holdfast restart --control " + std::string(kControlOfService) + "; sleep 0.0" +
                    milliseconds);
    // A restart that was under way goes on; nobody waits for it any more.
    ASSERT_TRUE(eventually([&] { return status().all_serving() && processes().size() == kWorkers + 1; }))
        << "kill " << i << ": " << processes().size() << " processes, " << status().json;
    ASSERT_EQ(property("ActiveState"), "active");
  }
  const LoadReport report = load.stop();
  EXPECT_FALSE(report.endings.contains(Ending::Refused)) << report.summary();
  EXPECT_FALSE(report.endings.contains(Ending::TimedOut)) << report.summary();
}

INSTANTIATE_TEST_SUITE_P(Kinds, KilledWhileItReplaces,
                         testing::Values(WorkerKind{"Sdk", "intake = \"sdk\"\n"}, node_workers("cluster")),
                         [](const auto& tested) { return tested.param.name; });

TEST_F(Readopt, AnUpgradeInPlaceGoesOnBeingKept) {
  start("intake = \"sdk\"\n");
  const std::vector<pid_t> workers = status().pids();
  const std::string stored = property("NFileDescriptorStore");
  for (int round = 0; round < 2; round++) {
    tell({"upgrade", "--wait"});
    kill_supervisor();
    EXPECT_EQ(status().pids(), workers);
  }
  EXPECT_EQ(json()["epoch"], 2);
  EXPECT_TRUE(eventually([&] { return property("NFileDescriptorStore") == stored; }));
}

TEST_F(Readopt, OneThatWasToldToStopStopsAfterItsDeathToo) {
  start("intake = \"sdk\"\n");
  // One of its workers must still be there when it dies; systemd lets it go on then.
  send(SIGSTOP, status().pids().front());
  tell({"stop"});
  ASSERT_TRUE(eventually([&] { return status().state == "stopping"; }));
  send(SIGKILL, property("MainPID"));
  EXPECT_TRUE(eventually([&] { return property("ActiveState") == "inactive"; })) << property("ActiveState");
  EXPECT_EQ(property("Result"), "success");
  EXPECT_TRUE(processes().empty());
  EXPECT_THAT(machine_.journal(kService), HasSubstr("was killed: its workers go on"));
}

TEST_F(Readopt, AReloadThatWasUnderWayCostsNobodyHisWorker) {
  const auto pool = [](const std::string& name, const std::string& address, const std::string& command) {
    return "[listeners." + name + "]\naddress = \"" + address + "\"\npool = \"" + name + "\"\n[pools." + name +
           "]\nworkers = 1\nintake = \"sdk\"\nstart-timeout = \"1h\"\ncommand = [\"" + command + "\"]\n";
  };
  const std::string whoami = "/run/machine/bin/whoami";
  const std::string stays = pool("stays", "127.0.0.1:8080", whoami);
  write_config(stays + pool("goes", "127.0.0.1:8081", whoami));
  start_service();
  const std::vector<pid_t> stayers = pids_of("stays");
  const std::vector<pid_t> goers = pids_of("goes");
  ASSERT_EQ(stayers.size(), 1U);
  ASSERT_EQ(goers.size(), 1U);
  write_config(stays + pool("comes", "127.0.0.1:8082", R"(/bin/sleep", "1h)"));
  tell({"reload"});
  ASSERT_TRUE(eventually([&] { return json()["pools"].size() == 3; })) << status().json;
  kill_supervisor();
  EXPECT_EQ(pids_of("stays"), stayers) << status().json;
  EXPECT_EQ(pids_of("goes"), goers) << status().json;
  EXPECT_TRUE(get_once(target_, "/"));
  EXPECT_TRUE(get_once(endpoint("127.0.0.1:8081"), "/"));
}

// What it has closed to new clients can never be opened again: the next supervisor must know that, and bind anew where it is to.
TEST_F(Readopt, ListenersThatWereBeingClosedAreGoneAndMayComeBack) {
  const auto listener = [](const std::string& name, const std::string& address, const std::string& pool) {
    return "[listeners." + name + "]\naddress = \"" + address + "\"\npool = \"" + pool + "\"\n";
  };
  const auto pool = [](const std::string& name) {
    return "[pools." + name + "]\nworkers = 1\nintake = \"sdk\"\ncommand = [\"/run/machine/bin/whoami\"]\n";
  };
  const std::string stays = listener("main", "127.0.0.1:8080", "stays") + pool("stays");
  const std::string all =
      stays + listener("extra", "127.0.0.1:8081", "stays") + listener("other", "127.0.0.1:8082", "goes") + pool("goes");
  write_config(all);
  start_service();
  const std::vector<pid_t> stayers = pids_of("stays");
  ASSERT_EQ(stayers.size(), 1U);
  write_config(stays);
  tell({"reload"});
  const auto is_closing = [](const nlohmann::json& status, const std::string& name) {
    const auto& listeners = status["listeners"];
    return std::any_of(listeners.begin(), listeners.end(), [&](const nlohmann::json& each) {
      return each["name"] == name && each["paused_because"] == "closed: it was removed";
    });
  };
  ASSERT_TRUE(eventually([&] { return is_closing(json(), "extra"); })) << status().json;
  kill_supervisor();
  EXPECT_EQ(pids_of("stays"), stayers) << status().json;
  EXPECT_TRUE(get_once(target_, "/"));
  EXPECT_TRUE(eventually([&] { return status().listeners.size() == 1; })) << status().json;
  EXPECT_TRUE(pids_of("goes").empty());
  EXPECT_TRUE(eventually([&] { return processes().size() == 2; })) << "a supervisor and a worker";
  write_config(all);
  const Ran ran = machine_.run({"/run/machine/bin/holdfast", "reload", "--wait", "--control", kControlOfService});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  for (const char* const address : {"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082"})
    EXPECT_TRUE(get_once(endpoint(address), "/")) << address << status().json;
}

TEST_F(Readopt, NodeWorkersGoOnAndAreSpokenToAsEver) {
  write_node_program();
  if (IsSkipped()) return;
  write_config(R"([listeners.main]
address = "127.0.0.1:8080"
pool = "main"
[listeners.node]
address = "127.0.0.1:8081"
pool = "node"
[pools.node]
workers = 2
command = ["node", "/etc/holdfast/app.js", "cluster"]
[pools.main]
workers = 2
intake = "sdk"
command = ["/run/machine/bin/whoami"]
)");
  start_service();
  const std::vector<pid_t> node = pids_of("node");
  const std::vector<pid_t> main = pids_of("main");
  ASSERT_EQ(node.size(), 2U);
  ASSERT_EQ(main.size(), 2U);
  kill_supervisor();
  EXPECT_EQ(pids_of("node"), node) << status().json;
  EXPECT_EQ(pids_of("main"), main);
  EXPECT_TRUE(get_once(target_, "/"));
  EXPECT_TRUE(get_once(endpoint("127.0.0.1:8081"), "/"));
  // They hear that they are to go, and whoever dies is missed.
  tell({"restart", "node", "--wait"});
  const std::vector<pid_t> next = pids_of("node");
  ASSERT_EQ(next.size(), 2U);
  EXPECT_NE(next[0], node[0]);
  EXPECT_NE(next[1], node[1]);
  EXPECT_TRUE(eventually([&] { return processes().size() == 5; }));
  kill_supervisor();
  send(SIGKILL, next[0]);
  EXPECT_TRUE(eventually([&] {
    const std::vector<pid_t> now = pids_of("node");
    return now.size() == 2 && now[0] != next[0] && now[1] == next[1];
  })) << status().json;
  EXPECT_THAT(machine_.journal(kService), testing::Not(HasSubstr("ERR_IPC_DISCONNECTED")));
}

// It is in the state, with the query that it waits for the answer of.
TEST_F(Readopt, ANodeWorkerThatStartsIsReadyBehindTheNextSupervisor) {
  write_node_program();
  if (IsSkipped()) return;
  machine_.write("/etc/holdfast/late.js", R"(
const fs = require('node:fs');
const late = setInterval(() => {
  if (!fs.existsSync('/etc/holdfast/go')) return;
  clearInterval(late);
  require('/etc/holdfast/app.js');
}, 20);
)");
  write_config(R"([listeners.main]
address = "127.0.0.1:8080"
[pools.main]
workers = 1
start-timeout = "1h"
command = ["node", "/etc/holdfast/late.js", "cluster"]
)");
  systemctl({"start", "--no-block", kService});
  ASSERT_TRUE(eventually([&] { return status().slots.size() == 1 && status().slot(0).state == "starting"; }));
  const pid_t worker = status().slot(0).pid;
  kill_supervisor();
  EXPECT_EQ(status().slot(0).pid, worker);
  EXPECT_EQ(status().slot(0).state, "starting");
  machine_.write("/etc/holdfast/go", "");
  EXPECT_TRUE(eventually([&] { return status().all_serving(); })) << status().json;
  EXPECT_EQ(status().slot(0).pid, worker);
  EXPECT_TRUE(get_once(target_, "/"));
}

// Whatever it were told next would be the other half for it, and its end.
TEST_F(Readopt, ANodeWorkerThatWasToldHalfOfAMessageServesItsClientsAndIsReplaced) {
  write_node_program();
  if (IsSkipped()) return;
  write_config(R"([listeners.main]
address = "127.0.0.1:8080"
[pools.main]
workers = 2
node-messages = "relay"
heartbeat-timeout = "0"
drain-timeout = "1h"
command = ["node", "/etc/holdfast/app.js", "cluster"]
)");
  start_service();
  const std::vector<pid_t> workers = status().pids();
  ASSERT_EQ(workers.size(), 2U);
  std::map<pid_t, std::string> sources;
  for (const std::string& source : ipv4_sources(40)) {
    if (const std::optional<Response> response = get_once(target_, "/", source)) sources[response->pid] = source;
  }
  ASSERT_EQ(sources.size(), 2U);
  HttpClient client(target_, sources[workers[0]]);
  client.send("/block");
  ASSERT_TRUE(eventually([&] { return machine_.journal(kService).find("blocked") != std::string::npos; }));
  ASSERT_TRUE(get_once(target_, "/say", sources[workers[1]]));
  // The answers to one more connection come behind what was said.
  ASSERT_TRUE(get_once(target_, "/", sources[workers[1]]));
  ASSERT_TRUE(eventually([&] { return status().waiting == 0; })) << status().json;
  kill_supervisor();
  EXPECT_TRUE(eventually([&] { return status().pids()[0] != workers[0] && status().all_serving(); })) << status().json;
  EXPECT_EQ(status().pids()[1], workers[1]);
  machine_.write("/etc/holdfast/go", "");
  std::optional<Response> response = client.receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->pid, workers[0]);
  response = client.get("/");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->pid, workers[0]);
  EXPECT_THAT(machine_.journal(kService), HasSubstr("was killed in the middle of a message to it"));
}

TEST_F(Readopt, AFrontDoorStandsAgainAndKnowsWhoCameTooOften) {
  const std::string pool = "workers = 1\nintake = \"sdk\"\ncommand = [\"/run/machine/bin/whoami\"]\n";
  write_config(R"([listeners.main]
address = "127.0.0.1:8080"
pool = "web"
preface-timeout = "1h"
source-rate = 1
source-rate-period = "1h"
routes = [{ when = { path-prefix = "/chat/" }, pool = "chat" }]
[listeners.other]
address = "127.0.0.1:8081"
pool = "chat"
source-connections = 1
[pools.web]
)" + pool + "[pools.chat]\n" +
               pool);
  start_service();
  const std::vector<pid_t> chat = pids_of("chat");
  ASSERT_EQ(chat.size(), 1U);
  ASSERT_TRUE(get_once(target_, "/", "127.0.7.1"));
  const Endpoint other = endpoint("127.0.0.1:8081");
  HttpClient open(other, "127.0.7.4");
  ASSERT_TRUE(open.get("/"));
  HttpClient silent(target_, "127.0.7.2");
  ASSERT_TRUE(eventually([&] { return status().waiting == 1; }));
  // Whatever is decided is kept, and so is what sources have done by then.
  tell({"drain", "web/0", "--wait"});
  tell({"undrain", "web/0", "--wait"});
  kill_supervisor();
  EXPECT_EQ(pids_of("chat"), chat);
  EXPECT_FALSE(get_once(target_, "/", "127.0.7.1"));
  EXPECT_FALSE(get_once(other, "/", "127.0.7.4")) << "the one that he has open counts";
  EXPECT_TRUE(get_once(other, "/", "127.0.7.5"));
  const std::optional<Response> answer = get_once(target_, "/chat/room", "127.0.7.3");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->pid, chat.front());
  EXPECT_TRUE(silent.closed_by_peer()) << "what waited at the door ended with the one who had accepted it";
  EXPECT_TRUE(eventually([&] { return status().balanced() && status().waiting == 0; })) << status().json;
}

TEST_F(Readopt, AListThatCannotBeReadEndsNoWorker) {
  machine_.write("/etc/holdfast/allow", "127.0.7.0/24\n");
  machine_.write("/etc/holdfast/deny", "127.0.8.0/24\n");
  write_config(R"([listeners.main]
address = "127.0.0.1:8080"
allow = "/etc/holdfast/allow"
[listeners.other]
address = "127.0.0.1:8081"
deny = "/etc/holdfast/deny"
[pools.main]
workers = 2
intake = "sdk"
command = ["/run/machine/bin/whoami"]
)");
  start_service();
  const Endpoint other = endpoint("127.0.0.1:8081");
  const std::vector<pid_t> workers = status().pids();
  ASSERT_EQ(workers.size(), 2U);
  ASSERT_TRUE(get_once(target_, "/", "127.0.7.1"));
  ASSERT_EQ(machine_.run({"rm", "/etc/holdfast/allow", "/etc/holdfast/deny"}).exit_code, 0);
  kill_supervisor();
  EXPECT_EQ(status().pids(), workers);
  EXPECT_FALSE(get_once(target_, "/", "127.0.7.1")) << "nobody is allowed, as nobody knows who was";
  EXPECT_TRUE(get_once(other, "/", "127.0.8.1"));
  EXPECT_THAT(machine_.journal(kService), HasSubstr("until it can be read it lets nobody in"));
  EXPECT_THAT(machine_.journal(kService), HasSubstr("until it can be read it keeps nobody out"));
  machine_.write("/etc/holdfast/allow", "127.0.7.0/24\n");
  machine_.write("/etc/holdfast/deny", "127.0.8.0/24\n");
  EXPECT_TRUE(eventually([&] { return get_once(target_, "/", "127.0.7.1").has_value(); }));
  EXPECT_TRUE(eventually([&] { return !get_once(other, "/", "127.0.8.1").has_value(); }));
  EXPECT_EQ(status().pids(), workers);
}

// The position in the stream is in the kept state, a second old at most: what came since comes twice, but nothing is left out.
TEST_F(Readopt, WorkersMissNothingOfTheStream) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const std::string redis = "redis://127.0.0.1:6390/0";
  ASSERT_EQ(machine_.run({"redis-server", "--daemonize", "yes", "--port", "6390", "--bind", "127.0.0.1", "--save", ""})
                .exit_code,
            0);
  start("intake = \"sdk\"\n[bus]\nredis = \"" + redis + "\"\nstream = [\"flood.**\"]\nstream-length = 1000000\n",
        R"("/run/machine/bin/bus_worker")");
  SupervisorPlan plan = machine(redis);
  plan.options.insert(plan.options.end(),
                      {"--set", R"(bus.stream=["flood.**"])", "--set", "bus.stream-length=1000000"});
  const Supervisor oak(plan);
  oak.wait_until_serving();
  const auto ask_here = [&](const std::string& path) {
    const std::optional<Response> response = get_once(target_, path);
    return response ? response->body : "";
  };
  const auto has = [&](const std::string& line) {
    return ask_here("/stats").find("\n" + line + "\n") != std::string::npos;
  };
  ASSERT_EQ(ask_here("/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_connected(oak) && fleet(oak, "waiting") == 0; }));
  (void)ask(oak, "/flood?t=flood.a&n=100");
  ASSERT_TRUE(eventually([&] { return has("received=100"); })) << ask_here("/stats");
  // What is decided is kept at once, and all else with it.
  const int ours = has("slot=0") ? 0 : has("slot=1") ? 1 : 2;
  const int other = (ours + 1) % 3;
  tell({"drain", std::to_string(other)});
  ASSERT_TRUE(eventually([&] { return status().slot(other).state == "drained"; })) << status().json;
  // Some of it while nobody reads.
  (void)ask(oak, "/flood?t=flood.a&n=50000");
  kill_supervisor();
  ASSERT_TRUE(eventually([&] { return number(oak, "left") == 0; }));
  ASSERT_EQ(ask(oak, "/say?t=flood.b&m=end"), "status=0");
  EXPECT_TRUE(eventually([&] { return has("text=end"); })) << ask_here("/stats");
  EXPECT_TRUE(has("gaps=0")) << ask_here("/stats");
}

TEST_F(Readopt, WhereNothingWasKeptTheOldWorkersAreEnded) {
  machine_.write("/run/systemd/system/holdfast@.service.d/none.conf", "[Service]\nFileDescriptorStoreMax=0\n");
  systemctl({"daemon-reload"});
  start("intake = \"capture\"\n",
        R"("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/etc/holdfast", "8080")");
  const std::vector<pid_t> workers = status().pids();
  kill_supervisor();
  EXPECT_TRUE(eventually([&] { return status().all_serving(); })) << status().json;
  for (const pid_t worker : workers) {
    EXPECT_TRUE(eventually([&] {
      const std::vector<pid_t> now = processes();
      return std::count(now.begin(), now.end(), worker) == 0;
    })) << worker;
  }
  EXPECT_TRUE(get_once(target_, "/web.toml"));
  EXPECT_THAT(machine_.journal(kService), HasSubstr("nothing was kept of them"));
}

}  // namespace
}  // namespace holdfast::test
