#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/time.h"

namespace holdfast {

// A pool that several machines have together, on one of them.
struct FleetPool {
  std::string name;
  std::vector<bool> serving;  // for each slot
  bool operator==(const FleetPool&) const = default;
};

// What a machine tells of itself.
struct FleetMachine {
  std::string name;   // for people
  std::string place;  // what it is known by: the same after a restart
  std::vector<FleetPool> pools;
  std::uint32_t largest = 0;  // bytes of a message in parts that it takes; 0: it knows none
  bool operator==(const FleetMachine&) const = default;
};

// One of the machines that a key can belong to. Borrowed.
struct FleetCandidate {
  std::uint64_t node = 0;
  std::string_view place;
  const std::vector<bool>* serving = nullptr;
};
struct FleetSlot {
  std::uint64_t node = 0;
  SlotId slot{};
  bool operator==(const FleetSlot&) const = default;
};
// The slot of all of them that a key belongs to: of those that serve the one that scores highest for it, by a fixed function of the
// key, the machine's place and the slot. So machines that know the same of each other find the same, in whatever order they know
// it, and what comes or goes moves only its own keys.
[[nodiscard]] std::optional<FleetSlot> place_in_fleet(std::string_view key, std::span<const FleetCandidate> candidates);

// The other machines, as their beats tell them. One that is silent for `time_to_live` has gone.
class FleetMachines {
 public:
  using Node = std::uint64_t;
  explicit FleetMachines(Duration time_to_live) : time_to_live_(time_to_live) {}

  enum class News { Nothing, Changed, Newcomer };
  // A newcomer takes the place of the machine that was at the same place before: that one has been restarted.
  [[nodiscard]] News on_beat(Node node, FleetMachine machine, TimePoint now);
  void on_heard(Node node, TimePoint now);
  // Those that have gone by now, with their names; each is told once.
  [[nodiscard]] std::vector<std::pair<Node, std::string>> take_gone(TimePoint now);

  [[nodiscard]] bool knows(Node node) const { return machines_.contains(node); }
  // Whether it takes a message of so many bytes, in parts.
  [[nodiscard]] bool takes(Node node, std::size_t bytes) const;
  [[nodiscard]] const std::map<Node, FleetMachine>& all() const { return machines_; }
  // Those that have a pool of this name.
  [[nodiscard]] std::vector<FleetCandidate> candidates(std::string_view pool) const;

 private:
  Duration time_to_live_;
  std::map<Node, FleetMachine> machines_;
  std::map<Node, TimePoint> heard_;
  std::vector<std::pair<Node, std::string>> replaced_;
};

}  // namespace holdfast
