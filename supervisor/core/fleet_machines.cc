#include "core/fleet_machines.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace holdfast {

namespace {

// FNV-1a. Not keyed: every machine must find the same, and a key is chosen by our own workers, not by strangers.
std::uint64_t hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

// Stafford's variant 13: every bit of the sum decides about every bit of the score.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

}  // namespace

std::optional<FleetSlot> place_in_fleet(std::string_view key, std::span<const FleetCandidate> candidates) {
  const std::uint64_t hashed = mix(hash(key));
  std::optional<FleetSlot> best;
  std::tuple<std::uint64_t, std::uint64_t> best_score;
  for (const FleetCandidate& candidate : candidates) {
    const std::uint64_t machine = mix(hash(candidate.place));
    for (std::uint32_t slot = 0; slot < candidate.serving->size(); slot++) {
      if (!(*candidate.serving)[slot]) continue;
      const std::tuple score(mix(hashed ^ mix(machine + slot)), candidate.node);
      if (best && score <= best_score) continue;
      best = FleetSlot{candidate.node, SlotId{slot}};
      best_score = score;
    }
  }
  return best;
}

FleetMachines::News FleetMachines::on_beat(Node node, FleetMachine machine, TimePoint now) {
  heard_[node] = now;
  const auto known = machines_.find(node);
  if (known != machines_.end()) {
    if (known->second == machine) return News::Nothing;
    known->second = std::move(machine);
    return News::Changed;
  }
  const auto before = std::find_if(machines_.begin(), machines_.end(),
                                   [&](const auto& one) { return one.second.place == machine.place; });
  if (before != machines_.end()) {
    replaced_.emplace_back(before->first, before->second.name);
    heard_.erase(before->first);
    machines_.erase(before);
  }
  machines_.emplace(node, std::move(machine));
  return News::Newcomer;
}

void FleetMachines::on_heard(Node node, TimePoint now) {
  if (const auto at = heard_.find(node); at != heard_.end()) at->second = now;
}

std::vector<std::pair<FleetMachines::Node, std::string>> FleetMachines::take_gone(TimePoint now) {
  std::vector<std::pair<Node, std::string>> gone = std::exchange(replaced_, {});
  for (auto at = heard_.begin(); at != heard_.end();) {
    const auto current = at++;
    if (now - current->second <= time_to_live_) continue;
    const auto machine = machines_.find(current->first);
    gone.emplace_back(current->first, machine->second.name);
    machines_.erase(machine);
    heard_.erase(current);
  }
  return gone;
}

bool FleetMachines::takes(Node node, std::size_t bytes) const {
  const auto machine = machines_.find(node);
  return machine != machines_.end() && bytes <= machine->second.largest;
}

std::vector<FleetCandidate> FleetMachines::candidates(std::string_view pool) const {
  std::vector<FleetCandidate> found;
  for (const auto& [node, machine] : machines_) {
    for (const FleetPool& one : machine.pools) {
      if (one.name == pool) found.push_back({node, machine.place, &one.serving});
    }
  }
  return found;
}

}  // namespace holdfast
