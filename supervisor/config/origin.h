#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace holdfast {

// Whose value it is: the supervisor's own, the bus's, or that of one pool or one listener.
enum class Scope { Supervisor, Listener, Pool, Bus };

// Which value it is: `supervisor.backlog`, `pools.web.start-timeout`, `pools.web.environment.TZ`.
struct KeyPath {
  Scope scope = Scope::Supervisor;
  std::string name;   // of the pool or listener; empty for the supervisor and the bus
  std::string key;    // empty: the pool or listener itself
  std::string entry;  // of a key that holds several; else empty
  auto operator<=>(const KeyPath&) const = default;
};
[[nodiscard]] std::string to_text(const KeyPath& path);

// Where in a text, both from 1; 0: not known.
struct Position {
  std::size_t line = 0;
  std::size_t column = 0;
  auto operator<=>(const Position&) const = default;
};

// Where a value comes from.
struct Origin {
  enum class Kind { Default, File, Variable, CommandLine };
  Kind kind = Kind::Default;
  std::string name;         // of the file, the variable, the option
  Position position;        // in the file
  std::string environment;  // of the file's [environments.NAME]; empty: none
  bool operator==(const Origin&) const = default;
};
// "default", "web.toml:12", "HOLDFAST_WORKERS", "--workers".
[[nodiscard]] std::string to_text(const Origin& origin);

// What somebody has written, and nothing else. A pool or a listener is there under its path without a key; the file, if
// there is one, under the supervisor's.
using Origins = std::map<KeyPath, Origin>;

// Something is wrong with a configuration: what is wrong, and what would be right.
struct Mistake {
  Origin origin;
  std::string text;
  KeyPath about = {};
};
// "web.toml:12:3: surge 0 would renew nothing". What was not written in a file names its option itself.
[[nodiscard]] std::string to_text(const Mistake& mistake);

}  // namespace holdfast
