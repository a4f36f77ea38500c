#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/eventually.h"

namespace holdfast::test {

// How to start a program. Its standard output and error go to the two files.
struct ProcessPlan {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // NAME=VALUE, set beside what we have
  std::string output_file;
  std::string error_file;
  std::optional<rlim_t> open_files;  // soft and hard NOFILE
  std::string terminal;              // its controlling terminal; empty: none
};

// A child process in a session of its own. It dies with the test. No core is written.
class Process {
 public:
  explicit Process(const ProcessPlan& plan);
  ~Process();  // kills what still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  [[nodiscard]] bool running();
  // The exit code, or 128 + the signal that killed it; nothing if it still runs after `patience`.
  [[nodiscard]] std::optional<int> exit_code(Duration patience = kPatience);

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// What a program that ran to its end said.
struct Ran {
  int exit_code = -1;
  std::string output;
  std::string errors;
};
// Runs a program and waits for its end. One that does not end is a failure of the test.
[[nodiscard]] Ran run(std::vector<std::string> command, std::vector<std::string> environment = {});

// Makes this process the parent of every orphan below it, so that nothing that is left behind can hide.
void adopt_orphans();
// Children of this process that no Process object stands for, dead ones collected: what was left behind by those that
// ended.
[[nodiscard]] std::vector<pid_t> orphans();

// To one process. That there is none any more is no fault; a pid that means a group (0 or less) is.
void send_signal(pid_t pid, int number);
[[nodiscard]] std::vector<pid_t> children_of(pid_t parent);
[[nodiscard]] bool alive(pid_t pid);  // neither gone nor a zombie
[[nodiscard]] std::string command_line_of(pid_t pid);
[[nodiscard]] std::size_t open_files_of(pid_t pid);
[[nodiscard]] std::vector<int> descriptors_of(pid_t pid);
[[nodiscard]] std::uint64_t anonymous_memory_of(pid_t pid);  // bytes resident
[[nodiscard]] Duration cpu_time_of(pid_t pid);
// "R", "S", "T" (stopped) ... as in proc(5); "" if there is no such process.
[[nodiscard]] std::string process_state(pid_t pid);
// The system call that a process which does not run is in; -1: none.
[[nodiscard]] long system_call_of(pid_t pid);
[[nodiscard]] bool waits_for_events(pid_t pid);  // the same: it is in epoll_wait

}  // namespace holdfast::test
