#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/node_message.h"

namespace holdfast {

// What a primary does for @socket.io/cluster-adapter: passes the messages of the adapters on. Each worker has an
// adapter for each namespace, known by the uid in its messages. An answer goes to the worker whose adapter asked,
// everything else to all other workers.
class NodeRelay {
 public:
  // Who is to get the message, of the `others` that live.
  [[nodiscard]] std::vector<WorkerId> route(WorkerId from, const NodeAdapterMessage& message,
                                            const std::vector<WorkerId>& others);
  // A worker has ended: what the others are to be told, so that they do not wait for its answers.
  [[nodiscard]] std::vector<NodeAdapterGone> on_gone(WorkerId worker);

  // For a program that goes on where this one stops.
  struct Adapter {
    WorkerId worker;
    std::string name_space;
  };
  [[nodiscard]] const std::map<std::string, Adapter>& adapters() const { return adapters_; }  // by uid
  void adopt(const std::map<std::string, Adapter>& adapters);

 private:
  std::map<std::string, Adapter> adapters_;  // by uid
  std::map<WorkerId, std::size_t> adapters_of_;
};

}  // namespace holdfast
