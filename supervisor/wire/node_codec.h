#pragma once

#include <string>
#include <string_view>

#include "core/node_message.h"
#include "core/result.h"

namespace holdfast {

// The messages of a Node.js channel in its JSON serialization: a line each. Objects whose "cmd" begins with "NODE_" are
// Node's own, everything else is the program's.

// Of a line, without its newline. What is no JSON, or breaks what Node itself holds to, is an error.
[[nodiscard]] Result<NodeMessage> decode_node_message(std::string_view line);

// With the newline.
[[nodiscard]] std::string encode(const NodeOrder& order);

}  // namespace holdfast
