#pragma once

#include <string>
#include <string_view>

#include "core/node_message.h"
#include "core/result.h"

namespace holdfast {

// The half of wire/node_codec.h that is for V8's own serialization.
[[nodiscard]] Result<NodeMessage> decode_v8_node_message(std::string_view message);
// With its length.
[[nodiscard]] std::string encode_v8(const NodeOrder& order);

}  // namespace holdfast
