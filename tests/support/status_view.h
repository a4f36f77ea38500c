#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

// A successor, or a worker that departs.
struct WorkerView {
  pid_t pid = 0;
  std::string state;
  std::uint64_t open = 0;
  std::optional<double> draining;  // seconds
  std::optional<double> ends_in;   // seconds
};

struct SlotView {
  unsigned slot = 0;
  std::string state;
  pid_t pid = 0;  // of the incumbent; 0: none
  unsigned generation = 0;
  std::uint64_t restarts = 0;
  std::uint64_t handed = 0;
  std::uint64_t waiting = 0;
  std::uint64_t open = 0;
  std::uint64_t lost = 0;
  unsigned buckets = 0;
  unsigned home_buckets = 0;
  std::string last_exit;
  std::string health;
  std::string last_check;
  std::vector<WorkerView> others;
  std::optional<double> next_start;  // seconds
};

struct ListenerView {
  std::string name;
  std::string address;
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> refused;
  bool paused = false;
};

// What `status --json` said at one moment, read independently of the product's own code: the JSON is a contract.
// A member that is missing is empty here.
struct StatusView {
  std::string json;  // as it came; empty: there was no answer
  pid_t pid = 0;
  std::string state;
  double uptime = 0;  // seconds
  std::vector<ListenerView> listeners;
  std::vector<SlotView> slots;  // of the first pool
  std::uint64_t accepted = 0;
  std::uint64_t checks = 0;
  std::uint64_t handed = 0;
  std::uint64_t waiting = 0;
  std::map<std::string, std::uint64_t> refused;

  [[nodiscard]] bool answered() const { return !json.empty(); }
  [[nodiscard]] SlotView slot(unsigned number) const;  // an empty one if there is none
  [[nodiscard]] std::uint64_t refused_in_all() const;
  [[nodiscard]] std::uint64_t restarts() const;
  [[nodiscard]] std::vector<pid_t> pids() const;
  [[nodiscard]] bool all_serving() const;
  // accepted + checks = handed + waiting + refused
  [[nodiscard]] bool balanced() const { return accepted + checks == handed + waiting + refused_in_all(); }
};

// An empty one for what is not a JSON object.
[[nodiscard]] StatusView view_of(std::string_view status);

}  // namespace holdfast::test
