#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "support/http_client.h"
#include "support/systemd_machine.h"

namespace holdfast::test {

// A test with a machine of its own, whose network the test uses. Skipped, with the reason, where there can be none.
class SystemdTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!machine_.missing().empty()) GTEST_SKIP() << machine_.missing();
    network_.emplace(machine_);
  }
  void TearDown() override {
    if (!HasFailure() || !machine_.missing().empty()) return;
    for (const std::string& unit : units_) {
      GTEST_LOG_(INFO) << machine_.systemctl({"status", "--no-pager", unit}).output << machine_.journal(unit);
    }
  }

  // A service of type notify, web.service, that runs `holdfast run ARGUMENTS`. Its control socket is kControl.
  void add_service(const std::string& arguments, const std::string& more = "") {
    units_.emplace_back("web.service");
    machine_.add_unit(
        "web.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=/run/machine/bin/holdfast run "
        "--control " +
            std::string(kControl) + " " + arguments + "\n" + more + "\n");
  }
  // A socket unit for it, NAME.socket, whose sockets have the name of the unit.
  void add_socket(const std::string& name, const std::string& listen, const std::string& more = "") {
    machine_.add_unit(name + ".socket", "[Socket]\nService=web.service\nFileDescriptorName=" + name +
                                            "\nListenStream=" + listen + "\n" + more + "\n");
  }
  // systemctl with these words must succeed.
  void systemctl(const std::vector<std::string>& arguments) {
    const Ran ran = machine_.systemctl(arguments);
    ASSERT_EQ(ran.exit_code, 0) << testing::PrintToString(arguments) << ran.output << ran.errors;
  }

  static constexpr const char* kControl = "/run/web.control";

  SystemdMachine machine_;
  std::vector<std::string> units_;  // whose journal is shown if the test fails

 private:
  std::optional<SystemdMachine::Network> network_;
};

}  // namespace holdfast::test
