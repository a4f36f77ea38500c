#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "sys/check.h"
#include "sys/spawn.h"

namespace holdfast {

Result<std::optional<ExitStatus>> reap(BorrowedFd pidfd) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG) != 0) {
    if (errno != EINTR) return last_error("collect a child");
  }
  if (info.si_pid == 0) return std::optional<ExitStatus>{};
  if (info.si_code == CLD_EXITED) return std::optional(ExitStatus{info.si_status, 0, false});
  return std::optional(ExitStatus{0, info.si_status, info.si_code == CLD_DUMPED});
}

bool is_child(BorrowedFd pidfd) {
  siginfo_t info{};
  return ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

std::string to_text(const ExitStatus& status) {
  if (!status.is_known) return "ended (how is not known: another supervisor had started it)";
  if (status.signal == 0) return "exited with code " + std::to_string(status.code);
  std::string text = "killed by signal " + std::to_string(status.signal);
  if (::sigabbrev_np(status.signal) != nullptr) text += " (" + signal_name(status.signal) + ")";
  if (status.core_dumped) text += ", core written";
  return text;
}

std::string signal_name(int signal) {
  const char* const abbreviation = ::sigabbrev_np(signal);
  return abbreviation != nullptr ? std::string("SIG") + abbreviation : "signal " + std::to_string(signal);
}

void signal_process(BorrowedFd pidfd, int signal) {
  // A raw call because <sys/pidfd.h> of glibc 2.36 gives it the linkage of C++.
  (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);  // gone already: no error
}

void signal_group(pid_t group, int signal) {
  if (group <= 1) fail_check("signalled a process group that no child can have");  // 0 is ours and -1 is everybody
  (void)::kill(-group, signal);                                                    // gone already: no error
}

}  // namespace holdfast
