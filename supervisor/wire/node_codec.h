#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/node_message.h"
#include "core/node_serialization.h"
#include "core/result.h"

namespace holdfast {

// The messages of a Node.js channel, in the one serialization or the other. Objects whose "cmd" begins with "NODE_" are
// Node's own, everything else is the program's, and is carried as it came.

// Of a message without what tells its end or its length (wire/node_stream.h). What the serialization does not allow, or
// breaks what Node itself holds to, is an error.
[[nodiscard]] Result<NodeMessage> decode_node_message(std::string_view message,
                                                      NodeSerialization serialization = NodeSerialization::Json);

// As it is to be sent.
[[nodiscard]] std::string encode(const NodeOrder& order, NodeSerialization serialization = NodeSerialization::Json);

// What a program has said, for the log: about `limit` bytes of it.
[[nodiscard]] std::string readable_node_text(std::string_view payload, NodeSerialization serialization,
                                             std::size_t limit);

}  // namespace holdfast
