#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/process_limits.h"
#include "core/result.h"
#include "sys/unique_fd.h"
#include "sys/user.h"

namespace holdfast {

// A socket for a program that takes sockets from systemd.
struct ListenFd {
  BorrowedFd fd;
  std::string name;  // at most 255 printable ASCII characters without ':'; empty: "unknown", as systemd has it
};

// Everything a child process is started with. Plain data; the descriptors are borrowed for the duration of the call.
struct SpawnPlan {
  // command[0] is looked up in PATH of `environment` unless it has a '/'. A relative path is relative to
  // `working_directory`. A kPidMarker (core/worker_template.h) in an argument after it, or in the value of a variable, becomes
  // the process id of the child.
  std::vector<std::string> command;
  // The whole environment; only `listen_fds` adds to it.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory;  // empty: ours
  // (ours, number in the child), from 3 on, no number twice. Everything else is closed, but 0, 1 and 2.
  std::vector<std::pair<BorrowedFd, int>> fds;
  // Given as systemd gives sockets (sd_listen_fds(3)): they stand from 3 on in this order, where none of `fds` may be, and
  // LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say so, whatever `environment` has under these names.
  std::vector<ListenFd> listen_fds;
  std::optional<BorrowedFd> standard_output;  // becomes 1 in the child; else it is ours
  std::optional<BorrowedFd> standard_error;   // becomes 2 in the child; else it is ours
  std::optional<Credentials> credentials;     // as whom it runs; nothing: as we do
  FileMask umask;                             // nothing: ours
  int nice = 0;                               // added to ours
  ResourceLimits limits;                      // of others ours hold, but for the one below
  std::vector<unsigned> cpus;                 // that it may run on (sched_setaffinity); empty: ours
  // It gets this signal when the calling thread ends (PR_SET_PDEATHSIG); 0: none. Gone with the exec of a set-user-ID program.
  int death_signal = 0;
  // Its bind(2) and listen(2), and those of all it starts, wait for our answer (sys/bind_filter.h). The price is
  // no_new_privs: neither it nor what it starts gains privileges by exec (set-user-ID, file capabilities).
  bool capture = false;
};

struct Child {
  pid_t pid = 0;   // for log lines and for killpg: the child leads a process group of its own
  UniqueFd pidfd;  // readable when the child has ended
  // With SpawnPlan::capture: where the kernel tells of the calls that wait for our answer (sys/seccomp_notify.h). Once it
  // is closed they fail with ENOSYS, those to come too. None if the child was killed before it could exec.
  UniqueFd capture;
};

// Starts a process: own process group (setpgid), signal mask empty, every disposition default, standard input
// /dev/null, CPUs and descriptors by the plan, filter, exec. Returns after the exec has succeeded or failed: a failure
// carries the stage and its errno ("chdir /nowhere: No such file or directory", "exec ./server: Permission denied") and
// leaves no process behind. Where the kernel or the container refuses the filter, it says which intakes work without. The child's soft NOFILE limit is what ours was at the first call to `raise_open_file_limit`, so that programs
// that use select(2) are not surprised.
[[nodiscard]] Result<Child> spawn(const SpawnPlan& plan);

// How a child ended.
struct ExitStatus {
  int code = 0;    // meaningful if signal == 0
  int signal = 0;  // the signal that killed it, or 0
  bool core_dumped = false;
  bool is_known = true;  // not of a process that is no child of ours: then all the rest is empty
  bool operator==(const ExitStatus&) const = default;
};
// Collects a child that has ended (waitid P_PIDFD). Nothing while it still runs.
[[nodiscard]] Result<std::optional<ExitStatus>> reap(BorrowedFd pidfd);
// Whether it is a child of ours, of which the end can be collected. One that was adopted from another supervisor is none.
[[nodiscard]] bool is_child(BorrowedFd pidfd);
// "exited with code 3", "killed by signal 11 (SIGSEGV), core written"
[[nodiscard]] std::string to_text(const ExitStatus& status);
// "SIGSEGV"; "signal 42" where there is no name.
[[nodiscard]] std::string signal_name(int signal);

// To the process alone (pidfd_send_signal) or to its whole group. A child that is gone already is no error.
void signal_process(BorrowedFd pidfd, int signal);
void signal_group(pid_t group, int signal);

}  // namespace holdfast
