#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/supervisor.h"
#include "test_paths.h"

namespace holdfast::test {

// A Redis server of the test's own, at a socket in a directory.
class Redis {
 public:
  explicit Redis(const TempDirectory& directory, std::vector<std::string> more = {}) : path_(directory / "redis") {
    plan_.command = {"redis-server", "--port", "0",     "--unixsocket",           path_, "--save", "",
                     "--appendonly", "no",     "--dir", directory.path().string()};
    plan_.command.insert(plan_.command.end(), more.begin(), more.end());
    plan_.output_file = directory / "redis.output";
    plan_.error_file = directory / "redis.errors";
    start();
  }
  static bool is_missing() { return run({"redis-server", "--version"}).exit_code != 0; }
  void start() {
    process_ = std::make_unique<Process>(plan_);
    EXPECT_TRUE(eventually([&] { return run({"redis-cli", "-s", path_, "ping"}).exit_code == 0; }));
  }
  void kill() { process_.reset(); }
  void signal(int number) const { process_->signal(number); }
  [[nodiscard]] std::string url() const { return "unix://" + path_; }
  // redis-cli, to this server.
  [[nodiscard]] ProcessPlan client(const std::vector<std::string>& words) const {
    ProcessPlan plan;
    plan.command = {"redis-cli", "-s", path_};
    plan.command.insert(plan.command.end(), words.begin(), words.end());
    return plan;
  }
  [[nodiscard]] std::string shell_command() const { return "redis-cli -s '" + path_ + "'"; }
  [[nodiscard]] Ran command(const std::vector<std::string>& words) const { return run(client(words).command); }

 private:
  std::string path_;
  ProcessPlan plan_;
  std::unique_ptr<Process> process_;
};

inline SupervisorPlan machine(const std::string& redis) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.command = {HOLDFAST_BIN "/bus_worker"};
  plan.options = {"--bus-redis", redis};
  return plan;
}

inline std::string ask(const Supervisor& supervisor, const std::string& path) {
  const std::optional<Response> response = get_once(supervisor.target(), path);
  return response ? response->body : "";
}

inline std::uint64_t number(const Supervisor& supervisor, const std::string& name) {
  const std::string stats = ask(supervisor, "/stats");
  const std::size_t at = stats.find("\n" + name + "=");
  return at == std::string::npos ? 0 : std::stoull(stats.substr(at + name.size() + 2));
}

// What `status` tells of the link to the other machines.
inline nlohmann::json link_of(const Supervisor& supervisor) {
  const auto status = nlohmann::json::parse(supervisor.ask("status").value_or(""), nullptr, false);
  return status.is_object() ? status["bus"]["fleet"].at(0) : nlohmann::json::object();
}

inline std::uint64_t fleet(const Supervisor& supervisor, const std::string& name) {
  return link_of(supervisor).value(name, std::uint64_t{0});
}

inline bool is_connected(const Supervisor& supervisor) {
  return link_of(supervisor).value("trouble", std::string("?")).empty();
}

// Both are, and each has heard of the other.
inline bool is_fleet(const Supervisor& one, const Supervisor& other) {
  return link_of(one).value("machines", nlohmann::json::array()).size() == 1 &&
         link_of(other).value("machines", nlohmann::json::array()).size() == 1;
}

// Both serve, and each has heard of the other.
inline bool meet(const Supervisor& one, const Supervisor& other) {
  one.wait_until_serving();
  other.wait_until_serving();
  return eventually([&] { return is_fleet(one, other); });
}

// Its worker has subscribed, and its supervisor knows: what is said from here on is heard.
inline bool subscribe(const Supervisor& supervisor, const std::string& pattern) {
  return ask(supervisor, "/subscribe?p=" + pattern) == "status=0" && eventually([&] {
           const auto status = nlohmann::json::parse(supervisor.ask("status").value_or(""), nullptr, false);
           return status.is_object() && status["bus"].value("subscriptions", 0) > 0;
         });
}

// Tests with a real Redis, where there is one.
class RedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  }
  const TempDirectory directory;
};

}  // namespace holdfast::test
