// Listeners that come, go and move while clients are served, whoever places them.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

// How the workers get their connections.
struct Way {
  const char* name;
  std::string lines;  // of the pool
  std::string command;
  bool knows_drain;            // open connections outlive the restart of their worker
  bool passed = false;         // by the supervisor, which accepts them
  bool tells_listener = true;  // a Node.js program knows none
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

Way python(const char* name, const std::string& intake) {
  return {name, "intake = \"" + intake + "\"\n",
          R"("python3", ")" + source_file("tests/system/reload/server.py") + "\", \"" + intake + "\"", false};
}

class ReloadListeners : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam().command.starts_with("\"node") && std::system("node --version >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "there is no node here";
    }
  }
  // Whether the worker was told that the connection is of this listener.
  [[nodiscard]] static bool is_of(const Response& response, const std::string& listener) {
    return !GetParam().tells_listener || response.listener == listener;
  }
  // `listeners`: NAME -> ADDRESS.
  void write(const std::map<std::string, std::string>& listeners, const std::string& lines = "",
             const std::string& command = "") {
    std::string text;
    for (const auto& [name, address] : listeners) text += "[listeners." + name + "]\naddress = \"" + address + "\"\n";
    // Time decides nothing here: on a machine that is starved a program may take half a minute to start.
    text += "[pools.web]\nworkers = 3\nstart-timeout = \"1h\"\nhold-timeout = \"1h\"\n" + GetParam().lines +
            "command = [" + (command.empty() ? GetParam().command : command) + "]\n" + lines + "\n";
    write_text(file_, text);
  }
  [[nodiscard]] SupervisorPlan plan() const { return plan_of_file(file_); }
  [[nodiscard]] static Ran reload(const Supervisor& supervisor) { return supervisor.tell("reload", {"--wait"}); }
  [[nodiscard]] static std::optional<ListenerView> find(const StatusView& status, const std::string& name) {
    for (const ListenerView& listener : status.listeners) {
      if (listener.name == name) return listener;
    }
    return std::nullopt;
  }

  TempDirectory directory_;
  std::string file_ = directory_ / "web.toml";
};
std::string name_of_way(const testing::TestParamInfo<Way>& way) { return way.param.name; }
Way sdk() { return {"sdk", "intake = \"sdk\"\n", '"' + whoami_program() + '"', true, true}; }
Way node() {
  return {"node", "",   R"("node", ")" + source_file("tests/interop/node/workers/http.js") + R"(", "3000")",
          true,   true, false};
}
Way steered_sdk() {
  return {"steered_sdk", "intake = \"sdk\"\nplane = \"steer\"\n", '"' + whoami_program() + '"', true};
}
INSTANTIATE_TEST_SUITE_P(Of, ReloadListeners,
                         testing::Values(sdk(), steered_sdk(), node(), python("inherited", "listen-fds"),
                                         python("captured", "capture")),
                         name_of_way);

// What does not depend on the program of the workers.
class ReloadListenersInPlane : public ReloadListeners {};
INSTANTIATE_TEST_SUITE_P(Of, ReloadListenersInPlane, testing::Values(sdk(), steered_sdk(), node()), name_of_way);

TEST_P(ReloadListeners, OneThatComesIsServedByEveryWorkerAndTheOthersNeverStop) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  write({{"main", "127.0.0.1:0"}, {"api", "127.0.0.1:0"}});
  const Ran ran = reload(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("listener api is added"));
  const std::optional<ListenerView> api = find(supervisor.status(), "api");
  ASSERT_TRUE(api);
  EXPECT_FALSE(api->paused);
  std::set<int> slots;
  for (const std::string& source : ipv4_sources(40)) {
    const std::optional<Response> response = get_once(endpoint(api->address), "/", source);
    ASSERT_TRUE(response) << source;
    EXPECT_TRUE(is_of(*response, "api")) << response->listener;
    EXPECT_EQ(response->slot, supervisor.route(source));
    slots.insert(response->slot);
  }
  EXPECT_EQ(slots.size(), 3U);
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty());
  supervisor.wait_until_settled();
}

TEST_P(ReloadListeners, OneThatGoesIsClosedItsClientsServedAndItsNumbersKept) {
  write({{"main", "127.0.0.1:0"}, {"api", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  const std::string api = find(supervisor.status(), "api")->address;
  LoadLoop load(LoadPlan{supervisor.target(1), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  const std::string request = request_for("/", "keep-alive");
  std::vector<HttpClient> open;
  for (const std::string& source : ipv4_sources(10)) {
    open.emplace_back(endpoint(api), source);
    ASSERT_TRUE(open.back().get("/")) << source;
    // Half of a request: a server that drains waits for the other half, however late it comes.
    open.back().send_raw(request.substr(0, request.size() / 2));
  }
  const std::uint64_t accepted = supervisor.status().accepted;
  write({{"main", "127.0.0.1:0"}});
  const Ran ran = reload(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("listener api is removed"));
  for (HttpClient& client : open) {
    client.send_raw(request.substr(request.size() / 2));
    const bool served = client.receive().has_value();
    EXPECT_TRUE(served || !GetParam().knows_drain) << name_of(client.ending());
    client.close();
  }
  EXPECT_TRUE(eventually([&] { return !HttpClient(endpoint(api)).connected(); })) << "it still listens";
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  const StatusView settled = supervisor.wait_until_settled();
  EXPECT_GE(settled.accepted, accepted);
  supervisor.wait_until("it is told of no more", [&](const StatusView& s) { return !find(s, "api"); });

  // Its address is free: a listener of another name may have it, under a new number.
  write({{"main", "127.0.0.1:0"}, {"other", api}});
  const Ran again = reload(supervisor);
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  const std::optional<Response> response = get_once(endpoint(api), "/");
  ASSERT_TRUE(response);
  EXPECT_TRUE(is_of(*response, "other")) << response->listener;
}

TEST_P(ReloadListenersInPlane, OneWhoseWorkersFailIsClosedAgainAndComesWithTheNext) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  // The port of a listener that is gone by now.
  std::string free_address;
  {
    write({{"main", "127.0.0.1:0"}, {"api", "127.0.0.1:0"}});
    ASSERT_EQ(reload(supervisor).exit_code, 0);
    free_address = find(supervisor.status(), "api")->address;
    write({{"main", "127.0.0.1:0"}});
    ASSERT_EQ(reload(supervisor).exit_code, 0);
    ASSERT_TRUE(eventually([&] { return !HttpClient(endpoint(free_address)).connected(); }));
  }
  write({{"main", "127.0.0.1:0"}, {"api", free_address}}, "", R"("/bin/sh", "-c", "echo out of luck; exit 3")");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("rolled back"));
  EXPECT_THAT(ran.errors, HasSubstr("out of luck"));
  EXPECT_TRUE(eventually([&] { return !HttpClient(endpoint(free_address)).connected(); })) << "it still listens";
  ASSERT_TRUE(get_once(supervisor.target(), "/"));
  write({{"main", "127.0.0.1:0"}, {"api", free_address}});
  const Ran again = reload(supervisor);
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  ASSERT_TRUE(get_once(endpoint(free_address), "/"));
  supervisor.wait_until_settled();
}

TEST_P(ReloadListenersInPlane, OneThatCannotBeBoundMeansThatNothingIsChanged) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  const Supervisor other;
  other.wait_until_serving();
  write({{"main", "127.0.0.1:0"}, {"a", "127.0.0.1:0"}, {"b", other.address()}}, "drain-timeout = \"7s\"");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 69);
  EXPECT_THAT(ran.errors, HasSubstr("nothing was changed"));
  EXPECT_THAT(ran.errors, HasSubstr("listen on " + other.address()));
  EXPECT_THAT(ran.errors, HasSubstr("another process listens there"));
  const StatusView after = supervisor.wait_until("what was bound is closed",
                                                 [](const StatusView& status) { return status.listeners.size() == 1; });
  EXPECT_EQ(after.pids(), before.pids());
  write({{"main", "127.0.0.1:0"}}, "drain-timeout = \"7s\"");
  const Ran again = reload(supervisor);
  EXPECT_THAT(again.output, HasSubstr("drain-timeout")) << "it has not been applied before";
}

TEST_P(ReloadListeners, OneThatMovesServesAtTheNewPlaceAndNoLongerAtTheOld) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  const std::string old_address = supervisor.address();
  write({{"main", "127.0.0.2:0"}});
  const Ran ran = reload(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_TRUE(eventually([&] { return !HttpClient(endpoint(old_address)).connected(); })) << "it still listens";
  const StatusView status = supervisor.wait_until("only the new one is left", [](const StatusView& s) {
    return s.listeners.size() == 1 && s.listeners[0].address.starts_with("127.0.0.2:");
  });
  for (const std::string& source : ipv4_sources(10)) {
    EXPECT_TRUE(get_once(endpoint(status.listeners[0].address), "/", source)) << supervisor.errors();
  }
  const std::optional<Response> response = get_once(endpoint(status.listeners[0].address), "/");
  ASSERT_TRUE(response);
  EXPECT_TRUE(is_of(*response, "main")) << response->listener;
}

// Nobody who comes by an address that both have is refused, where the supervisor accepts; where workers accept at sockets of their
// own the old one is closed to new clients first, as any that goes.
TEST_P(ReloadListeners, OneMayComeWhereOneThatCoversItGoesAndTheOtherWayRound) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  const std::string narrow = supervisor.address();
  const std::string port = narrow.substr(narrow.rfind(':') + 1);
  const bool passed = GetParam().passed;
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(20), 4, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 20; }));
  const auto move_to = [&](const std::string& address) {
    write({{"main", address}});
    const Ran ran = reload(supervisor);
    ASSERT_EQ(ran.exit_code, 0) << address << ": " << ran.errors;
    supervisor.wait_until("only " + address + " is left", [&](const StatusView& status) {
      return status.listeners.size() == 1 && status.listeners[0].address == address;
    });
    EXPECT_TRUE(get_once(endpoint(narrow), "/")) << address;
    EXPECT_EQ(HttpClient(endpoint("127.0.0.2:" + port)).connected(), address != narrow) << address;
  };
  move_to("0.0.0.0:" + port);
  if (passed) {
    move_to(":" + port);
  } else {  // there each of the two would have sockets at the other's address
    write({{"main", ":" + port}});
    EXPECT_EQ(reload(supervisor).exit_code, 69);
  }
  move_to(narrow);
  const LoadReport report = load.stop();
  EXPECT_TRUE(!passed || report.failed() == 0) << report.summary();
  const Ran refused =
      run({holdfast_program(), "run", "-l", narrow, "--name", "second", "--intake", "sdk", "--", whoami_program()});
  EXPECT_EQ(refused.exit_code, 69) << "nobody else may have the port: " << refused.errors;
  supervisor.wait_until_settled();
}

// Only its name is new: its socket is not.
TEST_P(ReloadListenersInPlane, OneThatIsRenamedLosesNobody) {
  write({{"main", "127.0.0.1:0"}});
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  const std::string address = supervisor.address();
  const bool steered = GetParam().lines == steered_sdk().lines;
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(20), 4, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 20; }));
  write({{"web", address}}, "", R"("/bin/sh", "-c", "exit 3")");
  EXPECT_EQ(reload(supervisor).exit_code, steered ? 69 : 1);
  write({{"web", address}});
  const Ran ran = reload(supervisor);
  if (steered) {
    EXPECT_EQ(ran.exit_code, 69);
    EXPECT_THAT(ran.errors, HasSubstr("leave it its name and address"));
  } else {
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const std::optional<Response> response = get_once(supervisor.target(), "/");
    ASSERT_TRUE(response);
    EXPECT_TRUE(is_of(*response, "web")) << response->listener;
  }
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  supervisor.wait_until_settled();
}

}  // namespace
}  // namespace holdfast::test
