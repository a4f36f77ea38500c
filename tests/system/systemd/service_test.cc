// The packaged units under a real systemd.
#include <gmock/gmock.h>

#include <algorithm>

#include "support/systemd_test.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kService = "holdfast@web.service";
constexpr const char* kSlice = "system.slice/system-holdfast.slice";

class SystemdService : public SystemdTest {
 protected:
  void SetUp() override {
    SystemdTest::SetUp();
    if (IsSkipped()) return;
    machine_.add_packaged_units();
    units_.emplace_back(kService);
  }
  void configure(unsigned workers, const std::string& more = "",
                 const std::string& command = R"("/run/machine/bin/whoami")",
                 const std::string& address = "127.0.0.1:8080") {
    machine_.write("/etc/holdfast/web.toml", "[listeners.main]\naddress = \"" + address +
                                                 "\"\n[pools.main]\ncommand = [" + command +
                                                 "]\nworkers = " + std::to_string(workers) + "\n" + more);
  }
  [[nodiscard]] std::vector<pid_t> processes() const { return machine_.processes_of(kService, kSlice); }
  [[nodiscard]] std::string status_text() const { return machine_.property(kService, "StatusText"); }
};

TEST_F(SystemdService, TheUnitsAreWithoutFault) {
  const Ran verified =
      machine_.run({"systemd-analyze", "verify", "--man=no", "holdfast@web.service", "holdfast@web.socket"});
  EXPECT_EQ(verified.exit_code, 0) << verified.errors;
  EXPECT_THAT(verified.errors, Not(HasSubstr("holdfast")));
  constexpr const char* kMostExposure = "--threshold=30";  // tenths
  const Ran exposed =
      machine_.run({"systemd-analyze", "security", "--no-pager", kMostExposure, "holdfast@web.service"});
  EXPECT_EQ(exposed.exit_code, 0) << exposed.output << exposed.errors;
  EXPECT_THAT(exposed.output, HasSubstr("Overall exposure level"));
}

TEST_F(SystemdService, ItStartsWhenItServesAndLeavesNoProcess) {
  configure(2);
  systemctl({"start", kService});
  EXPECT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/"));
  EXPECT_TRUE(eventually([&] { return status_text() == "2 of 2 workers serve"; })) << status_text();
  EXPECT_EQ(processes().size(), 3U);
  systemctl({"stop", kService});
  EXPECT_EQ(machine_.property(kService, "Result"), "success");
  EXPECT_TRUE(processes().empty());
}

TEST_F(SystemdService, AStartWithoutHopeFails) {
  configure(1, "intake = \"sdk\"\n", R"("/bin/false")");
  EXPECT_NE(machine_.systemctl({"start", "--no-block", kService}).exit_code, -1);
  EXPECT_TRUE(eventually([&] { return machine_.property(kService, "ExecMainStatus") == "75"; }));
  systemctl({"stop", kService});
}

TEST_F(SystemdService, ReloadIsHeardAndItsFailureToo) {
  configure(1);
  systemctl({"start", kService});
  configure(3);
  systemctl({"reload", kService});
  EXPECT_TRUE(eventually([&] { return status_text() == "3 of 3 workers serve"; })) << status_text();

  configure(3, "colour = \"blue\"\n");
  EXPECT_NE(machine_.systemctl({"reload", kService}).exit_code, 0);
  EXPECT_EQ(machine_.property(kService, "ActiveState"), "active");
  EXPECT_THAT(status_text(), StartsWith("3 of 3 workers serve; the last reload failed: nothing was changed"));
  EXPECT_TRUE(get_once(endpoint("127.0.0.1:8080"), "/"));
}

// By default systemd would give up a stop after 90 seconds; here after one, if nobody asked for more.
TEST_F(SystemdService, AStopMayTakeItsTime) {
  machine_.write("/run/systemd/system/holdfast@.service.d/short.conf", "[Service]\nTimeoutStopSec=1s\n");
  machine_.write("/etc/holdfast/slow.py", R"(import os, signal, socket, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(3), os._exit(0)))
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "\0" + os.environ["NOTIFY_SOCKET"][1:])
while True:
    signal.pause()
)");
  machine_.write("/etc/holdfast/web.toml",
                 "[pools.main]\nintake = \"none\"\nworkers = 1\ncommand = [\"python3\", \"/etc/holdfast/slow.py\"]\n");
  systemctl({"daemon-reload"});
  systemctl({"start", kService});
  systemctl({"stop", kService});
  EXPECT_EQ(machine_.property(kService, "Result"), "success");
  GTEST_LOG_(INFO) << machine_.journal(kService);
}

TEST_F(SystemdService, AHungSupervisorIsReplaced) {
  machine_.write("/run/systemd/system/holdfast@.service.d/short.conf",
                 "[Service]\nWatchdogSec=10s\nTimeoutAbortSec=1s\n");
  systemctl({"daemon-reload"});
  configure(1);
  systemctl({"start", kService});
  const std::string before = machine_.property(kService, "MainPID");
  const auto last_beat = [&] { return machine_.property(kService, "WatchdogTimestampMonotonic"); };
  for (int beats = 0; beats < 2; beats++) {
    const std::string beat = last_beat();
    ASSERT_TRUE(eventually([&] { return last_beat() != beat; }));
  }
  ASSERT_EQ(machine_.property(kService, "MainPID"), before);
  ASSERT_EQ(machine_.run({"kill", "-STOP", before}).exit_code, 0);
  EXPECT_TRUE(eventually([&] {
    const std::string pid = machine_.property(kService, "MainPID");
    return pid != before && pid != "0" && machine_.property(kService, "ActiveState") == "active";
  }));
  EXPECT_TRUE(eventually([&] { return get_once(endpoint("127.0.0.1:8080"), "/").has_value(); }));
}

TEST_F(SystemdService, TheSandboxLeavesCaptureWorking) {
  machine_.write("/tmp/page", "a page");
  configure(2, "intake = \"capture\"\n",
            R"("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/etc/holdfast", "8080")");
  systemctl({"start", kService});
  const std::optional<Response> response = get_once(endpoint("127.0.0.1:8080"), "/web.toml");
  ASSERT_TRUE(response);
  EXPECT_THAT(response->body, HasSubstr("http.server"));
  systemctl({"stop", kService});
  EXPECT_TRUE(processes().empty());
}

TEST_F(SystemdService, ThePackagedSocketStartsIt) {
  machine_.write("/run/systemd/system/holdfast@web.socket.d/address.conf",
                 "[Socket]\nListenStream=\nListenStream=127.0.0.1:8081\n");
  systemctl({"daemon-reload"});
  configure(1, "intake = \"sdk\"\n", R"("/run/machine/bin/whoami")", "systemd:main");
  systemctl({"start", "holdfast@web.socket"});
  EXPECT_TRUE(get_once(endpoint("127.0.0.1:8081"), "/"));
}

}  // namespace
}  // namespace holdfast::test
