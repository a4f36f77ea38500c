#include "sys/control_group.h"

#include <holdfast/channel.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "sys/text_file.h"

namespace holdfast {

namespace {

constexpr std::size_t kLongestFile = std::size_t{1} << 20;
constexpr std::size_t kLongestEnvironment = std::size_t{2} << 20;  // ARG_MAX

// "0::/system.slice/web.service" is the line of version 2.
std::optional<std::string> path_of_own_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
  }
  return std::nullopt;
}

// Of a list of NAME=VALUE, each with a zero at its end.
std::optional<std::string> value_in(std::string_view environment, std::string_view name) {
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(entry.size() + 1, environment.size()));
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

// Nothing if it has ended, or is not ours to look at.
std::optional<ProcessFacts> facts_of(pid_t pid) {
  const std::string place = "/proc/" + std::to_string(pid);
  const Result<std::string> status = read_text_file(place + "/stat", kLongestFile);
  const Result<std::string> environment = read_text_file(place + "/environ", kLongestEnvironment);
  if (!status || !environment) return std::nullopt;
  // "PID (NAME) STATE PARENT GROUP ...", where the name may hold anything.
  const std::size_t behind_name = status->rfind(')');
  int parent = 0;
  int group = 0;
  if (behind_name == std::string::npos ||
      std::sscanf(status->c_str() + behind_name + 1, " %*c %d %d", &parent, &group) != 2) {
    return std::nullopt;
  }
  return ProcessFacts{pid, parent, group, value_in(*environment, HF_ENV_GENERATION).has_value(),
                      value_in(*environment, "NOTIFY_SOCKET").value_or("")};
}

}  // namespace

std::vector<ProcessFacts> others_in_own_group() {
  std::vector<ProcessFacts> others;
  const std::optional<std::string> path = path_of_own_group();
  if (!path) return others;
  std::ifstream processes(*path + "/cgroup.procs");
  for (pid_t pid = 0; processes >> pid;) {
    if (pid == 0 || pid == ::getpid()) continue;  // 0: of another process namespace
    if (std::optional<ProcessFacts> facts = facts_of(pid)) others.push_back(*std::move(facts));
  }
  return others;
}

}  // namespace holdfast
