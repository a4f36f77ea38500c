#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"
#include "config/origin.h"

namespace holdfast {

// What one source (a file, an overlay of it, the command line) says, before it is known what another one says.

// A pool or a listener that a source speaks of.
struct Named {
  Scope scope;
  std::string name;
  Origin origin;
};
// One value; it has been read once, so that it is known to fit.
struct Assignment {
  const Option* option;
  KeyPath path;
  Value value;
  Origin origin;
  std::vector<Origin> elements = {};  // of a list of tables, where each of them stands
};
struct Layer {
  std::vector<Named> named;             // in the order of the source
  std::vector<Assignment> assignments;  // the same
  std::vector<KeyPath> unread;          // what it has a value for that does not fit: a mistake was made of it
};

// A configuration file, holdfast.toml(5): [supervisor], [listeners.NAME], [pools.NAME], and the same once more in
// [environments.NAME], which is laid over it when that environment is chosen. The mistakes are those of the whole file,
// the overlays that nobody chooses among them.
struct ParsedFile {
  Layer base;
  std::map<std::string, Layer> environments;
  std::vector<Mistake> mistakes;
  bool readable = true;  // no: the syntax is wrong, and that is the only mistake that is known
};
[[nodiscard]] ParsedFile parse_file(std::string_view text, const std::string& file_name);

// `pools.web.workers=4`, as --set takes it. Behind the '=' stands a text as on the command line, or a list in brackets.
struct ParsedSet {
  Layer layer;
  std::vector<Mistake> mistakes;
};
[[nodiscard]] ParsedSet parse_set(std::string_view text);

// Whether the value fits, or why not.
[[nodiscard]] Outcome check_value(const Option& option, const std::string& entry, const Value& value);

// ", did you mean 'start-timeout'?", or nothing.
[[nodiscard]] std::string suggestion(std::string_view text, const std::vector<std::string>& known);

}  // namespace holdfast
