#include "asking.h"

#include <cstdio>
#include <optional>

#include "ctl/control_client.h"
#include "exit_code.h"

namespace holdfast {

namespace {

std::optional<std::string> if_given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

ControlResponse ask(const ControlTarget& target, const ControlRequest& request, Duration patience) {
  const Result<std::string> path =
      find_control_path({if_given(target.control_path), if_given(target.name)}, control_home());
  if (!path) return ControlFailure{path.error().message(), kExitFailure, {}};
  return ask_supervisor(*path, request, patience);
}

int complain(const std::string& text, int exit_code) {
  std::fprintf(stderr, "holdfast: %s\n", text.c_str());
  return exit_code;
}

}  // namespace holdfast
