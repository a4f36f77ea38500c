#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/node_dialect.h"

namespace holdfast {

// In what words a Node.js program wants its connections, if nobody has told us and it does not show it by itself.
//
// A worker that calls listen() is one of `cluster`, whatever libraries it has: that is known, and overrules any guess. A
// worker that does not call it says nothing at all that would tell one dialect from another. What is left is what can be
// read: the text of its script, and on which packages it depends.

// What can be read of a program.
struct NodeProgram {
  std::string script;                               // the text of the file that is run
  std::map<std::string, std::string> dependencies;  // of its package: name -> version, installed or as required
};
// What a worker has said on its channel, and is no listen().
struct NodeSigns {
  bool said_ready = false;     // 'ready'
  bool adapter_spoke = false;  // @socket.io/cluster-adapter: it may be behind @socket.io/sticky
  bool operator==(const NodeSigns&) const = default;
};

struct NodeGuess {
  NodeDialect dialect;
  std::string why;  // "its script names 'sticky-session'"
};
// Nothing: it may be anything, or more than one thing.
[[nodiscard]] std::optional<NodeGuess> guess_node_dialect(const NodeProgram& program, const NodeSigns& signs);

// The file that a command runs, as it is written there; nothing where it has none. Words that belong to the options of
// Node.js are none.
[[nodiscard]] std::optional<std::string> node_script_in(const std::vector<std::string>& command);

}  // namespace holdfast
