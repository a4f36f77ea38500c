#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/node_serialization.h"
#include "core/result.h"
#include "wire/node_frames.h"
#include "wire/node_lines.h"

namespace holdfast {

// Cuts what comes over a Node.js channel into its messages, whichever way they are told apart. `limit` bytes at most in
// one: an error, once for each, says that one goes beyond that; it is passed over.
class NodeStream {
 public:
  NodeStream(NodeSerialization serialization, std::size_t limit)
      : cutter_(serialization == NodeSerialization::Json ? Cutter(NodeLines(limit)) : Cutter(NodeFrames(limit))) {}

  void push(std::string_view bytes) {
    std::visit([&](auto& cutter) { cutter.push(bytes); }, cutter_);
  }
  // The next whole message; good until the next `push`. Nothing: it has not come yet.
  [[nodiscard]] Result<std::optional<std::string_view>> next() {
    return std::visit([](auto& cutter) { return cutter.next(); }, cutter_);
  }

  // Of a stream that is read from somewhere on: false: the next does not begin here. Lines are found again at the next
  // newline.
  [[nodiscard]] bool may_begin_here() const {
    const auto* const frames = std::get_if<NodeFrames>(&cutter_);
    return frames == nullptr || frames->may_begin_here();
  }

  // What has come of messages that are not whole yet: another one goes on with it.
  [[nodiscard]] std::string_view rest() const {
    return std::visit([](const auto& cutter) { return cutter.rest(); }, cutter_);
  }

 private:
  using Cutter = std::variant<NodeLines, NodeFrames>;
  Cutter cutter_;
};

}  // namespace holdfast
