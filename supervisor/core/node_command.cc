#include "core/node_command.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace holdfast {

namespace {

using Words = std::span<const std::string>;

// They are Node.js programs themselves, and start the one that is meant as a child.
constexpr std::array<std::string_view, 9> kLaunchers{"npm",      "npx",     "yarn", "yarnpkg", "pnpm",
                                                     "corepack", "nodemon", "pm2",  "forever"};

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Without an `env` and what it sets, which go before the program does.
Words program_of(Words command) {
  if (command.empty() || file_name(command.front()) != "env") return command;
  command = command.subspan(1);
  while (!command.empty() && command.front().find('=') != std::string::npos) command = command.subspan(1);
  return command;
}

// node, nodejs, node18, node-22.
bool is_node(std::string_view name) {
  if (!name.starts_with("node")) return false;
  name.remove_prefix(4);
  if (name.starts_with("js")) name.remove_prefix(2);
  return name.find_first_not_of("-.0123456789") == std::string_view::npos;
}

bool takes_the_program(const std::string& word) {
  constexpr std::array<std::string_view, 7> kOptions{"-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive"};
  return std::find(kOptions.begin(), kOptions.end(), word) != kOptions.end() || word.starts_with("--eval=") ||
         word.starts_with("--print=");
}

}  // namespace

bool runs_node(const std::vector<std::string>& command) {
  const Words program = program_of(command);
  return !program.empty() && is_node(file_name(program.front()));
}

std::optional<std::string> launcher_in(const std::vector<std::string>& command) {
  const Words program = program_of(command);
  if (program.empty()) return std::nullopt;
  const std::string_view name = file_name(program.front());
  if (std::find(kLaunchers.begin(), kLaunchers.end(), name) == kLaunchers.end()) return std::nullopt;
  return std::string(name);
}

std::optional<std::string> why_no_node_worker(const std::vector<std::string>& command) {
  if (const std::optional<std::string> launcher = launcher_in(command)) {
    return *launcher +
           " is a Node.js program that starts yours as its child: it would take the channel that is meant for yours. "
           "Run what it runs: node, and the script (package.json, \"scripts\")";
  }
  const Words program = program_of(command);
  if (program.empty()) return std::nullopt;
  const std::string name(file_name(program.front()));
  if (!is_node(name)) return std::nullopt;
  const Words words = program.subspan(1);
  // An option stands before the script; the script may have an -e of its own.
  for (const std::string& word : words) {
    if (takes_the_program(word)) return "`" + name + " " + word + "` has no script: such a process is never a worker";
    if (!word.starts_with('-')) return std::nullopt;
  }
  return "`" + name + "` has no script to run";
}

std::vector<std::pair<std::string, std::string>> node_environment(NodeDialect dialect, WorkerId worker, SlotId slot,
                                                                  NodeSerialization serialization) {
  std::vector<std::pair<std::string, std::string>> variables{
      {"NODE_CHANNEL_FD", std::to_string(kNodeChannelFd)},
      {"NODE_CHANNEL_SERIALIZATION_MODE", serialization == NodeSerialization::Json ? "json" : "advanced"},
      {"NODE_APP_INSTANCE", std::to_string(slot.value)},  // PM2's name for it
  };
  // As in a primary of Node's own the first worker is number 1, each further one the next.
  if (is_cluster_worker(dialect)) variables.emplace_back("NODE_UNIQUE_ID", std::to_string(worker.value));
  return variables;
}

}  // namespace holdfast
