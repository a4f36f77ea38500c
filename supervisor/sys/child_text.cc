#include "sys/child_text.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/worker_template.h"

namespace holdfast {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";  // where the environment has no PATH
constexpr std::size_t kLongestListenName = 255;                            // systemd's FDNAME_MAX
constexpr std::array<std::string_view, 3> kListenVariables{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

bool has_zero(std::string_view text) { return text.find('\0') != std::string_view::npos; }

bool has_zero_but_in_markers(std::string_view text) {
  while (true) {
    const std::size_t zero = text.find('\0');
    if (zero == std::string_view::npos) return false;
    text.remove_prefix(zero);
    if (!text.starts_with(kPidMarker)) return true;
    text.remove_prefix(kPidMarker.size());
  }
}

bool is_listen_name(const ListenFd& socket) {
  const auto is_bad = [](char c) { return c <= ' ' || c > '~' || c == ':'; };
  return socket.name.size() <= kLongestListenName && std::none_of(socket.name.begin(), socket.name.end(), is_bad);
}

std::string_view search_path(const SpawnPlan& plan) {
  for (const auto& [name, value] : plan.environment) {
    if (name == "PATH") return value;
  }
  return kDefaultPath;
}

std::vector<std::string> candidates_of(const SpawnPlan& plan) {
  const std::string& command = plan.command.front();
  if (command.find('/') != std::string::npos) return {command};
  std::vector<std::string> candidates;
  std::string_view rest = search_path(plan);
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    candidates.push_back((directory.empty() ? "." : std::string(directory)) + "/" + command);  // an empty entry: here
    if (colon == std::string_view::npos) return candidates;
    rest.remove_prefix(colon + 1);
  }
}

std::vector<std::string> variables_of(const SpawnPlan& plan) {
  const bool listens = !plan.listen_fds.empty();
  std::vector<std::string> variables;
  for (const auto& [name, value] : plan.environment) {
    const bool replaced = std::find(kListenVariables.begin(), kListenVariables.end(), name) != kListenVariables.end();
    if (!listens || !replaced) variables.emplace_back(name).append("=").append(value);
  }
  if (!listens) return variables;
  std::string names;
  for (const ListenFd& socket : plan.listen_fds) {
    if (!names.empty()) names += ':';
    names += socket.name.empty() ? "unknown" : socket.name;
  }
  variables.push_back("LISTEN_PID=" + std::string(kPidMarker));
  variables.push_back("LISTEN_FDS=" + std::to_string(plan.listen_fds.size()));
  variables.push_back("LISTEN_FDNAMES=" + names);
  return variables;
}

// The null-terminated form that exec wants; valid as long as the strings are.
std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

void add_markers(std::vector<std::string>& strings, std::vector<char*>& markers) {
  for (std::string& string : strings) {
    for (std::size_t at = string.rfind(kPidMarker); at != std::string::npos;) {
      markers.push_back(string.data() + at);
      at = at == 0 ? std::string::npos : string.rfind(kPidMarker, at - 1);
    }
  }
}

}  // namespace

bool ChildText::is_exact(const SpawnPlan& plan) {
  const std::vector<std::string>& command = plan.command;
  if (command.empty() || command.front().empty() || has_zero(command.front())) return false;
  if (has_zero(plan.working_directory)) return false;
  const auto bad_variable = [](const auto& variable) {
    const auto& [name, value] = variable;
    return name.empty() || name.find('=') != std::string::npos || has_zero(name) || has_zero_but_in_markers(value);
  };
  return std::none_of(command.begin(), command.end(), has_zero_but_in_markers) &&
         std::none_of(plan.environment.begin(), plan.environment.end(), bad_variable) &&
         std::all_of(plan.listen_fds.begin(), plan.listen_fds.end(), is_listen_name);
}

ChildText::ChildText(const SpawnPlan& plan)
    : candidates_(candidates_of(plan)),
      arguments_(plan.command),
      variables_(variables_of(plan)),
      candidate_pointers_(pointers_to(candidates_)),
      argument_pointers_(pointers_to(arguments_)),
      variable_pointers_(pointers_to(variables_)) {
  add_markers(arguments_, pid_markers_);
  add_markers(variables_, pid_markers_);
}

}  // namespace holdfast
