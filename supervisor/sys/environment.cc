#include "sys/environment.h"

#include <fcntl.h>
#include <holdfast/channel.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "sys/unique_fd.h"

namespace holdfast {

namespace {

constexpr std::array<std::string_view, 20> kNotInherited = {"LISTEN_FDS",
                                                            "LISTEN_PID",
                                                            "LISTEN_FDNAMES",
                                                            "LISTEN_PIDFDID",
                                                            "NOTIFY_SOCKET",
                                                            "WATCHDOG_USEC",
                                                            "WATCHDOG_PID",
                                                            "FDSTORE",
                                                            HF_ENV_SOCKETS,
                                                            HF_ENV_CHANNEL,
                                                            HF_ENV_PAGE,
                                                            HF_ENV_SLOT,
                                                            HF_ENV_SLOTS,
                                                            HF_ENV_GENERATION,
                                                            HF_ENV_POOL,
                                                            HF_ENV_HEARTBEAT,
                                                            HF_ENV_LISTENERS,
                                                            "NODE_CHANNEL_FD",
                                                            "NODE_CHANNEL_SERIALIZATION_MODE",
                                                            "NODE_UNIQUE_ID"};

}  // namespace

std::vector<std::pair<std::string, std::string>> inherited_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (std::find(kNotInherited.begin(), kNotInherited.end(), name) != kNotInherited.end()) continue;
    variables.emplace_back(name, text.substr(equals + 1));
  }
  return variables;
}

std::vector<std::pair<std::string, std::string>> inherited_environment(
    const std::map<std::string, std::string>& chosen) {
  std::vector<std::pair<std::string, std::string>> variables = inherited_environment();
  std::erase_if(variables, [&](const auto& variable) { return chosen.contains(variable.first); });
  variables.insert(variables.end(), chosen.begin(), chosen.end());
  return variables;
}

bool has_terminal() { return static_cast<bool>(UniqueFd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC))); }

void open_standard_streams() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) (void)::close(fd);
}

std::optional<std::string> environment_variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

void ignore_broken_pipes() { (void)std::signal(SIGPIPE, SIG_IGN); }  // cannot fail for SIGPIPE

}  // namespace holdfast
