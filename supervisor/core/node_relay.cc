#include "core/node_relay.h"

#include <algorithm>
#include <iterator>

namespace holdfast {

namespace {

// A Socket.IO server has a few namespaces; one that makes them up from what its clients say would make this grow.
constexpr std::size_t kMostAdaptersOfOne = 4096;
constexpr int kAdapterClose = 13;

}  // namespace

std::vector<WorkerId> NodeRelay::route(WorkerId from, const NodeAdapterMessage& message,
                                       const std::vector<WorkerId>& others) {
  if (message.type == kAdapterClose) {
    const auto closed = adapters_.find(message.uid);
    if (closed != adapters_.end() && closed->second.worker == from) {
      adapters_of_[from]--;
      adapters_.erase(closed);
    }
  } else if (!message.uid.empty() && adapters_of_[from] < kMostAdaptersOfOne) {
    if (adapters_.try_emplace(message.uid, Adapter{from, message.name_space}).second) adapters_of_[from]++;
  }
  std::vector<WorkerId> targets;
  if (message.requester.empty()) {
    std::copy_if(others.begin(), others.end(), std::back_inserter(targets), [&](WorkerId w) { return w != from; });
    return targets;
  }
  // One that asked and is gone needs no answer.
  const auto asked = adapters_.find(message.requester);
  if (asked == adapters_.end()) return targets;
  const WorkerId worker = asked->second.worker;
  if (worker != from && std::count(others.begin(), others.end(), worker) > 0) targets.push_back(worker);
  return targets;
}

std::vector<NodeAdapterGone> NodeRelay::on_gone(WorkerId worker) {
  std::vector<NodeAdapterGone> gone;
  std::erase_if(adapters_, [&](const auto& entry) {
    if (entry.second.worker != worker) return false;
    gone.push_back(NodeAdapterGone{entry.first, entry.second.name_space});
    return true;
  });
  adapters_of_.erase(worker);
  return gone;
}

void NodeRelay::adopt(const std::map<std::string, Adapter>& adapters) {
  adapters_ = adapters;
  for (const auto& [uid, adapter] : adapters_) adapters_of_[adapter.worker]++;
}

}  // namespace holdfast
