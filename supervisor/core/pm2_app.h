#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

// An application of PM2, as its ecosystem file describes it: what has an equivalent here. Times in milliseconds, as PM2
// writes them.
struct Pm2App {
  std::string name;
  std::string script;
  std::vector<std::string> arguments;
  std::string interpreter = "node";  // empty: the script is a program by itself
  std::vector<std::string> interpreter_arguments;
  std::string working_directory;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::map<std::string, std::string>> environments;  // env_NAME, laid over it by `--env NAME`
  std::string user;
  std::string group;
  bool cluster = false;  // several processes behind one port
  int instances = 1;     // 0: one for each CPU; below: that many fewer than CPUs
  bool wait_ready = false;
  bool shutdown_message = false;
  std::optional<long> listen_timeout;
  std::optional<long> kill_timeout;
  std::optional<long> restart_delay;
  std::optional<long> backoff_delay;
  std::optional<long> min_uptime;
  std::optional<long> max_restarts;
  std::optional<std::string> max_memory;  // "300M"
  std::vector<int> stop_exit_codes;
  std::vector<std::string> others;  // keys that are set and are none of these
};

}  // namespace holdfast
