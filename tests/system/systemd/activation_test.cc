// Sockets that a real systemd opens, and a supervisor that is started for them.
#include <gmock/gmock.h>

#include "support/systemd_test.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kWhoami = "/run/machine/bin/whoami";

class SystemdActivation : public SystemdTest {};

TEST_F(SystemdActivation, WhoComesBeforeTheServiceIsServed) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l systemd:web -w 2 -- " + std::string(kWhoami));
  systemctl({"start", "web.socket"});
  EXPECT_EQ(machine_.property("web.service", "ActiveState"), "inactive");

  const std::optional<Response> response = get_once(endpoint("127.0.0.1:8080"), "/");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->code, 200);
  const StatusView status = machine_.status(kControl);
  ASSERT_EQ(status.listeners.size(), 1U);
  EXPECT_EQ(status.listeners[0].address, "127.0.0.1:8080");
}

TEST_F(SystemdActivation, TheSocketOutlivesTheService) {
  const std::string path = "/run/web.sock";
  add_socket("web", path, "ListenStream=127.0.0.1:8080\nReusePort=yes");
  add_service("-l systemd:web -w 2 --intake sdk -- " + std::string(kWhoami));
  systemctl({"start", "web.socket"});
  for (int start = 0; start < 3; start++) {
    const std::optional<Response> response = get_once(endpoint("127.0.0.1:8080"), "/");
    ASSERT_TRUE(response) << "start " << start;
    systemctl({"stop", "web.service"});
    EXPECT_EQ(machine_.run({"test", "-S", path}).exit_code, 0) << "the file of the socket is systemd's";
    EXPECT_TRUE(machine_.processes_of("web.service").empty());
  }
}

TEST_F(SystemdActivation, AnUpgradeInPlaceKeepsTheSocketAndTheService) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l systemd:web -w 2 --intake sdk -- " + std::string(kWhoami));
  systemctl({"start", "web.socket"});
  ASSERT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/"));
  const std::string before = machine_.property("web.service", "MainPID");
  for (int round = 0; round < 2; round++) {
    const Ran ran = machine_.run({"/run/machine/bin/holdfast", "upgrade", "--wait", "--control", kControl});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    EXPECT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/"));
  }
  EXPECT_EQ(machine_.property("web.service", "MainPID"), before);
  EXPECT_EQ(machine_.property("web.service", "ActiveState"), "active");
  systemctl({"stop", "web.service"});
  ASSERT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/")) << "the socket is systemd's";
}

TEST_F(SystemdActivation, EachListenerTakesTheSocketsOfItsName) {
  add_socket("web", "127.0.0.1:8080", "ListenStream=[::1]:8080");
  add_socket("api", "[::]:9090", "BindIPv6Only=both");
  machine_.write("/etc/holdfast/pair.toml", R"([listeners.http]
address = "systemd:web"
[listeners.rpc]
address = "systemd:api"
[pools.main]
command = ["/run/machine/bin/whoami"]
workers = 1
intake = "sdk"
)");
  add_service("-c /etc/holdfast/pair.toml", "Sockets=web.socket api.socket");
  systemctl({"start", "web.socket", "api.socket"});
  const auto listener_at = [](const char* address) {
    const std::optional<Response> response = get_once(endpoint(address), "/");
    return response ? response->listener : "nobody";
  };
  EXPECT_EQ(listener_at("127.0.0.1:8080"), "http");
  EXPECT_EQ(listener_at("[::1]:8080"), "http");
  EXPECT_EQ(listener_at("127.0.0.1:9090"), "rpc");
  const StatusView status = machine_.status(kControl);
  ASSERT_EQ(status.listeners.size(), 3U);
  EXPECT_EQ(status.listeners[2].address, ":9090");
}

// What a listener refuses, and whom its proxies name, holds at each of its sockets.
TEST_F(SystemdActivation, TheFrontDoorOfAListenerStandsAtEverySocketOfItsName) {
  add_socket("web", "127.0.0.1:8080", "ListenStream=127.0.0.1:8081\nListenStream=127.0.0.1:8082");
  machine_.write("/etc/holdfast/deny", "203.0.113.0/24\n");
  machine_.write("/etc/holdfast/web.toml", R"([listeners.http]
address = "systemd:web"
proxy-protocol = "required"
deny = "/etc/holdfast/deny"
total-connections = 2
routes = [{ when = { source = ["198.51.100.0/24"] }, pool = "chat" }]
[pools.main]
command = ["/run/machine/bin/whoami"]
workers = 1
intake = "sdk"
wait-limit = 0
[pools.chat]
command = ["/run/machine/bin/whoami"]
workers = 1
intake = "sdk"
)");
  add_service("-c /etc/holdfast/web.toml");
  systemctl({"start", "web.socket"});
  systemctl({"start", "web.service"});
  std::vector<HttpClient> open;
  const auto come = [&](const std::string& address, const std::string& header) {
    open.emplace_back(endpoint(address));
    open.back().send_raw(header + request_for("/", "keep-alive"));
    const std::optional<Response> answer = open.back().receive();
    return answer ? answer->code : 0;
  };
  const auto header = [](const std::string& client) { return "PROXY TCP4 " + client + " 192.0.2.1 4000 443\r\n"; };
  for (const char* address : {"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082"}) {
    EXPECT_EQ(come(address, header("203.0.113.7")), 0) << address;
    EXPECT_EQ(come(address, ""), 0) << address << ": a header is required";
  }
  EXPECT_EQ(come("127.0.0.1:8080", header("192.0.2.7")), 200);
  EXPECT_EQ(come("127.0.0.1:8081", header("198.51.100.7")), 200);
  EXPECT_EQ(come("127.0.0.1:8082", header("192.0.2.8")), 0)
      << "two are open at the listener, whichever socket they took";
  const StatusView status = machine_.status(kControl);
  EXPECT_TRUE(status.balanced());
  EXPECT_EQ(status.handed, 2U);
  EXPECT_EQ(status.refused,
            (std::map<std::string, std::uint64_t>{{"denied", 3}, {"proxy-no-header", 3}, {"total-connections", 1}}));
}

TEST_F(SystemdActivation, ASocketThatNobodyTakesIsAnErrorThatNamesIt) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l 127.0.0.1:0 -w 1 -- " + std::string(kWhoami), "Sockets=web.socket");
  systemctl({"start", "web.socket"});
  EXPECT_NE(machine_.systemctl({"start", "web.service"}).exit_code, 0);
  EXPECT_EQ(machine_.property("web.service", "ExecMainStatus"), "78");
  EXPECT_THAT(machine_.journal("web.service"), HasSubstr("sockets that no listener takes: web (write -l systemd:web"));
}

TEST_F(SystemdActivation, AListenerWithoutItsSocketSaysWhatThereIs) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l systemd:wep -w 1 -- " + std::string(kWhoami), "Sockets=web.socket");
  systemctl({"start", "web.socket"});
  EXPECT_NE(machine_.systemctl({"start", "web.service"}).exit_code, 0);
  EXPECT_EQ(machine_.property("web.service", "ExecMainStatus"), "69");
  EXPECT_THAT(machine_.journal("web.service"),
              HasSubstr("no service manager gave us a socket named 'wep': it gave web"));
}

TEST_F(SystemdActivation, TheKernelSteersBesideASocketWithReusePort) {
  add_socket("web", "127.0.0.1:8080", "ReusePort=yes");
  add_service("-l systemd:web -w 3 --intake sdk --plane steer -- " + std::string(kWhoami));
  systemctl({"start", "web.socket"});
  for (int start = 0; start < 2; start++) {
    ASSERT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/"));
    for (int i = 1; i <= 12; i++) {
      const std::string source = "127.0." + std::to_string(i) + ".1";
      const std::optional<Response> response = get_once(endpoint("127.0.0.1:8080"), "/", source);
      ASSERT_TRUE(response) << source;
      const std::string route =
          machine_.run({"/run/machine/bin/holdfast", "route", "--json", "--control", kControl, source}).output;
      EXPECT_THAT(route, HasSubstr("\"slot\":" + std::to_string(response->slot))) << source;
    }
    // The second start finds a group of which only systemd's socket is left.
    systemctl({"stop", "web.service"});
  }
}

TEST_F(SystemdActivation, WithoutReusePortASteeredPoolDoesNotStartAndSaysWhatToDo) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l systemd:web -w 2 --intake listen-fds -- " + std::string(kWhoami));
  systemctl({"start", "web.socket"});
  EXPECT_NE(machine_.systemctl({"start", "web.service"}).exit_code, 0);
  EXPECT_THAT(machine_.journal("web.service"),
              HasSubstr("127.0.0.1:8080 cannot be steered by the kernel: the service manager opened it without "
                        "SO_REUSEPORT. Write ReusePort=yes into the socket unit"));
}

TEST_F(SystemdActivation, AnotherUsersSocketCannotBeSteeredEither) {
  add_socket("web", "127.0.0.1:8080", "ReusePort=yes");
  add_service("-l systemd:web -w 2 --intake listen-fds -- " + std::string(kWhoami),
              "User=nobody\nRuntimeDirectory=web");
  systemctl({"start", "web.socket"});
  EXPECT_NE(machine_.systemctl({"start", "web.service"}).exit_code, 0);
  EXPECT_THAT(machine_.journal("web.service"), HasSubstr("opened it as user 0 and we are user"));
}

TEST_F(SystemdActivation, WorkersInheritNothingOfIt) {
  add_socket("web", "127.0.0.1:8080");
  add_service("-l systemd:web -w 1 --intake sdk -- " + std::string(kWhoami), "WatchdogSec=77s");
  systemctl({"start", "web.socket"});
  const std::optional<Response> response = get_once(endpoint("127.0.0.1:8080"), "/");
  ASSERT_TRUE(response);
  for (const pid_t pid : machine_.processes_of("web.service")) {
    if (command_line_of(pid).find(kWhoami) == std::string::npos || command_line_of(pid).find("holdfast") < 20) continue;
    const std::string environment = text_of("/proc/" + std::to_string(pid) + "/environ");
    for (const char* name : {"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WATCHDOG_PID=", "WATCHDOG_USEC=77000000",
                             "/run/systemd/notify"}) {
      EXPECT_THAT(environment, Not(HasSubstr(name)));
    }
    return;
  }
  ADD_FAILURE() << "there is no worker";
}

}  // namespace
}  // namespace holdfast::test
