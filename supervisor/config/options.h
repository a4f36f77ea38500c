#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/origin.h"
#include "config/value.h"
#include "core/result.h"

namespace holdfast {

// What a running supervisor must do for a new value to take effect.
enum class Effect {
  Live,         // nothing: it counts from now on
  RollWorkers,  // replace the workers, slot by slot
  NeedsRestart  // what cannot be done without stopping: the supervisor must be started anew
};
[[nodiscard]] std::string_view to_text(Effect effect);     // "live", "workers", "restart"
[[nodiscard]] std::string_view meaning_of(Effect effect);  // "takes effect at once", ...

// Of which pool or listener of a Config an option is to be set or told, and which entry of it, if it has several.
struct Place {
  std::size_t index = 0;
  std::string entry = {};
};

// One value that can be chosen: one row of the one table from which the command line, the environment variables, the
// keys of the file, their defaults and what a reload does, the help, the file of `holdfast init` and the checks of the
// manuals are made. HOLDFAST_START_TIMEOUT in the environment is --start-timeout is start-timeout in [pools.NAME].
struct Option {
  std::string key;  // "start-timeout"
  Scope scope = Scope::Supervisor;
  std::string value_name;  // "TIME"
  std::string group;       // heading in the help
  Effect effect = Effect::Live;
  std::string help;
  std::function<Outcome(Config&, const Place&, const Value&)> set;
  std::function<Value(const Config&, const Place&)> get;
  std::string flag = {};    // "--start-timeout"; empty: the command line says it in a way of its own, or not at all
  std::string letter = {};  // "-w", beside the flag; mostly empty
  // Of an option that holds several values under names of their own: those names. Each has an origin of its own.
  std::function<std::vector<std::string>(const Config&, std::size_t index)> entries = {};
  // A table, or a list of tables, is a value of it: it reads them as inline TOML (Scalar::Form::Table).
  bool takes_tables = false;
};

[[nodiscard]] const std::vector<Option>& options();
// Null: the scope has no such key.
[[nodiscard]] const Option* find_option(Scope scope, std::string_view key);
// "HOLDFAST_START_TIMEOUT"
[[nodiscard]] std::string environment_name(std::string_view flag);
// How messages call it: "-w", "--start-timeout"; without a flag the key.
[[nodiscard]] std::string short_name(const Option& option);

// One value of a configuration, as it is.
struct Setting {
  KeyPath path;
  const Option* option;
  Value value;
};
// All of them: the supervisor's, then those of each listener and each pool in their order; in each the table's order.
[[nodiscard]] std::vector<Setting> settings_of(const Config& config);

}  // namespace holdfast
