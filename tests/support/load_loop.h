#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/http_client.h"

namespace holdfast::test {

// What to put on a server: short connections (connect, one request, whole answer, close), many at a time.
struct LoadPlan {
  Endpoint target;
  std::vector<std::string> sources;  // used in turn
  unsigned at_a_time = 32;
  std::optional<std::uint64_t> connections;  // how many in all; without: until stop()
  std::string path = "/";
  Duration patience = kPatience;  // for each connection
};

// What became of them.
struct LoadReport {
  std::map<Ending, std::uint64_t> endings;
  std::map<std::string, std::set<int>> slots;  // of each source, by what the answers say
  std::map<pid_t, std::uint64_t> answered_by;
  std::vector<std::string> failures;  // the first few in words

  [[nodiscard]] std::uint64_t connections() const;
  [[nodiscard]] std::uint64_t answered() const;
  [[nodiscard]] std::uint64_t failed() const { return connections() - answered(); }
  // Sources that more than one slot answered.
  [[nodiscard]] std::vector<std::string> moved() const;
  [[nodiscard]] std::string summary() const;
};

// Runs a load in a thread of its own, from construction to its planned end or stop().
class LoadLoop {
 public:
  explicit LoadLoop(LoadPlan plan);
  ~LoadLoop();
  LoadLoop(const LoadLoop&) = delete;
  LoadLoop& operator=(const LoadLoop&) = delete;

  // Answers so far; to wait until a load flows.
  [[nodiscard]] std::uint64_t answered() const { return answered_.load(std::memory_order_relaxed); }
  // Connections so far that ended otherwise.
  [[nodiscard]] std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }
  // Starts no more connections, lets those under way end, and reports.
  [[nodiscard]] LoadReport stop();
  // Waits for the planned end and reports.
  [[nodiscard]] LoadReport finish();

 private:
  void work();

  LoadPlan plan_;
  LoadReport report_;
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// `count` different addresses of 127/8, spread over /24s.
[[nodiscard]] std::vector<std::string> ipv4_sources(unsigned count);

}  // namespace holdfast::test
