#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "support/supervisor.h"

namespace holdfast::test {

// Node.js programs that know nothing of Holdfast, behind the real supervisor.

inline std::vector<std::string> node(const std::string& script, const std::vector<std::string>& arguments = {}) {
  std::vector<std::string> command{"node", source_file("tests/interop/node/workers/" + script)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

inline SupervisorPlan plan_of(std::vector<std::string> command, std::vector<std::string> options = {},
                              unsigned workers = 2) {
  SupervisorPlan plan;
  plan.workers = workers;
  plan.options = std::move(options);
  plan.command = std::move(command);
  return plan;
}

// By a worker.
inline void wait_until_written(const Supervisor& supervisor, const std::string& text) {
  EXPECT_TRUE(eventually([&] { return supervisor.output().find(text) != std::string::npos; }))
      << "no worker wrote '" << text << "'\n"
      << supervisor.output() << supervisor.errors();
}

class NodeServed : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  }
};

}  // namespace holdfast::test
