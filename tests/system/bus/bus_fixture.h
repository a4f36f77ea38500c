#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/supervisor.h"
#include "test_paths.h"

namespace holdfast::test {

using Stats = std::map<std::string, std::string>;

// A supervisor of bus workers, and clients whose addresses lead to each of its slots.
class BusFixture {
 public:
  explicit BusFixture(unsigned workers, std::vector<std::string> options = {},
                      std::vector<std::string> environment = {}) {
    SupervisorPlan plan;
    plan.workers = workers;
    plan.options = std::move(options);
    plan.command = {HOLDFAST_BIN "/bus_worker"};
    plan.environment = std::move(environment);
    supervisor_ = std::make_unique<Supervisor>(plan);
    supervisor_->wait_until_serving();
    for (const std::string& address : ipv4_addresses()) {
      const int slot = supervisor_->route(address);
      sources_.emplace(slot, address);
      if (sources_.size() == workers) break;
    }
  }
  [[nodiscard]] Supervisor& supervisor() { return *supervisor_; }
  [[nodiscard]] std::string ask(int slot, const std::string& path) const {
    const std::optional<Response> response = get_once(supervisor_->target(), path, sources_.at(slot));
    return response ? response->body : "";
  }
  [[nodiscard]] Stats stats(int slot) const {
    Stats stats;
    std::istringstream lines(ask(slot, "/stats"));
    for (std::string line; std::getline(lines, line);)
      stats[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    return stats;
  }
  [[nodiscard]] std::uint64_t number(int slot, const std::string& name) const {
    const std::string text = stats(slot)[name];
    return text.empty() ? 0 : std::stoull(text);
  }
  void subscribe_all(const std::string& pattern) const {
    for (const auto& [slot, source] : sources_) ASSERT_EQ(ask(slot, "/subscribe?p=" + pattern), "status=0");
    // What is said next must not overtake the subscriptions of others: all of them are known when the supervisor counts them.
    EXPECT_TRUE(eventually([&] { return bus("subscriptions") >= sources_.size(); }));
  }
  [[nodiscard]] const std::string& source(int slot) const { return sources_.at(slot); }
  // A number that `status` tells of the bus.
  [[nodiscard]] std::uint64_t bus(const std::string& name) const {
    const auto status = nlohmann::json::parse(supervisor_->ask("status").value_or(""), nullptr, false);
    return status.is_object() ? status["bus"].value(name, std::uint64_t{0}) : 0;
  }
  // Messages that the supervisor holds for a worker, and those that it has published.
  [[nodiscard]] std::uint64_t waiting(int slot) const { return member(slot, "waiting"); }
  [[nodiscard]] std::uint64_t published(int slot) const { return member(slot, "published"); }

 private:
  [[nodiscard]] std::uint64_t member(int slot, const char* name) const {
    const auto status = nlohmann::json::parse(supervisor_->ask("status").value_or(""), nullptr, false);
    if (!status.is_object()) return 0;
    for (const auto& member : status["bus"]["members"]) {
      if (member["worker"] == "main/" + std::to_string(slot)) return member[name].get<std::uint64_t>();
    }
    return 0;
  }
  static std::vector<std::string> ipv4_addresses() {
    std::vector<std::string> addresses;
    for (int i = 1; i < 255; ++i) addresses.push_back("127.0.1." + std::to_string(i));
    return addresses;
  }
  std::unique_ptr<Supervisor> supervisor_;
  std::map<int, std::string> sources_;
};

}  // namespace holdfast::test
