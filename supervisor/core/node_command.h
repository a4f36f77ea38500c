#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/node_dialect.h"
#include "core/node_serialization.h"

namespace holdfast {

// How a Node.js worker is started: its own IPC channel is descriptor 3, which its environment tells it.

// Never 17 or more: Node would leave it open in the processes that the worker starts, and we would not see its end.
inline constexpr int kNodeChannelFd = 3;

// Whether a command is Node.js itself, so that its workers will want that channel.
[[nodiscard]] bool runs_node(const std::vector<std::string>& command);

// A command that is a Node.js program which starts the one that is meant (npm, yarn): its name. It would take the channel
// for its own.
[[nodiscard]] std::optional<std::string> launcher_in(const std::vector<std::string>& command);

// Why the workers of this command could never use the channel, and what to run instead; nothing if they can.
[[nodiscard]] std::optional<std::string> why_no_node_worker(const std::vector<std::string>& command);

// What is set in the environment of such a worker. What stands there for the same names from elsewhere must go.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> node_environment(
    NodeDialect dialect, WorkerId worker, SlotId slot, NodeSerialization serialization = NodeSerialization::Json);

}  // namespace holdfast
