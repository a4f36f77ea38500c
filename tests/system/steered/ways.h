#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "support/supervisor.h"
#include "test_paths.h"

namespace holdfast::test {

// How the workers of a test get their connections.
struct Way {
  const char* name;
  std::vector<std::string> options;
  std::vector<std::string> command;
  std::string intake;
};
inline void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
inline std::string name_of_way(const testing::TestParamInfo<Way>& way) { return way.param.name; }

inline std::string server() { return source_file("tests/system/steered/server.py"); }

inline Way captured() { return {"captured", {}, {"python3", server(), "capture"}, "capture"}; }
inline Way inherited() {
  return {"inherited", {"--intake", "listen-fds"}, {"python3", server(), "listen-fds"}, "listen-fds"};
}
inline Way by_sdk() { return {"sdk", {"--plane", "steer"}, {whoami_program()}, "sdk"}; }

// The same with a server that starts in no time, and nothing left to --intake auto: for tests that start many workers.
inline Way captured_plain(std::vector<std::string> words = {}) {
  Way way{"captured", {"--intake", "capture"}, {HOLDFAST_BIN "/plain_server", "capture"}, "capture"};
  way.command.insert(way.command.end(), words.begin(), words.end());
  return way;
}
inline Way inherited_plain() {
  return {"inherited",
          {"--intake", "listen-fds", "--start-grace", "1h", "--start-timeout", "2h"},
          {HOLDFAST_BIN "/plain_server", "listen-fds"},
          "listen-fds"};
}

inline SupervisorPlan plan_of(const Way& way) {
  SupervisorPlan plan;
  plan.workers = 3;
  plan.options = way.options;
  plan.command = way.command;
  return plan;
}

}  // namespace holdfast::test
