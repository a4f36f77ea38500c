#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

// Our environment without what was meant for us alone: the variables of socket activation, notification and watchdog
// (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*) and those by which a supervisor above us made us its worker (the protocol's
// HOLDFAST_ variables, and those of Node.js).
[[nodiscard]] std::vector<std::pair<std::string, std::string>> inherited_environment();
// The same with `chosen` in place of what it has under these names, or beside it.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> inherited_environment(
    const std::map<std::string, std::string>& chosen);

// A variable that is set and not empty.
[[nodiscard]] std::optional<std::string> environment_variable(const std::string& name);

// A reader that goes away must show as EPIPE, not as the end of this process (SIGPIPE ignored; children get the default
// back).
void ignore_broken_pipes();

// Whether somebody started us from a terminal, which tells us of its own affairs by signals then.
[[nodiscard]] bool has_terminal();

// Makes sure that 0, 1 and 2 are open, on /dev/null where they were closed: else the next descriptor would take the number, and be
// written to as if it were the log.
void open_standard_streams();

}  // namespace holdfast
