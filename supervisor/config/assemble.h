#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/origin.h"

namespace holdfast {

struct Option;

struct ConfigFile {
  std::string name;
  std::string text;
};

// An option's text, and the option or the variable that it was given by.
struct GivenText {
  std::string text;
  Origin origin;
};
// What the command line and the environment ask for. A variable whose option is on the command line is not among it.
struct Given {
  struct Row {
    const Option* option;
    GivenText text;
  };
  std::vector<Row> rows;             // of the table of options, each at most once
  std::vector<GivenText> listeners;  // -l
  std::vector<std::string> sets;     // --set
  std::vector<std::string> command;  // behind "--"; empty: none
  std::optional<GivenText> pool;     // --pool
  std::optional<GivenText> overlay;  // --environment
};

// The configuration that results, and where each of its values comes from: the command line goes before the
// environment, that before the file's overlay, that before the file, and that before the defaults.
//
// Options of a pool are meant for the one that --pool names, or for the only one. A listener on the command line that has
// the name of one of the file, or none while the file has only one, gives that one another address; else it is a
// further one.
struct Assembled {
  Config config;
  Origins origins;
  std::vector<Mistake> mistakes;  // all of them; if there are any, the configuration is not to be used
};
[[nodiscard]] Assembled assemble(const std::optional<ConfigFile>& file, const Given& given);

}  // namespace holdfast
