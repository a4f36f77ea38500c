#include "sys/child_exec.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {
namespace {

constexpr int kExitCannotExec = 127;  // as a shell says it; the parent has the whole story from the pipe

[[noreturn]] void fail(int status_pipe, ChildStage stage, int error, std::size_t index) {
  const ChildFailure failure{stage, error, static_cast<std::int32_t>(index)};
  (void)!::write(status_pipe, &failure,
                 sizeof failure);  // less than PIPE_BUF: whole or not at all, and there is nobody else to tell
  ::_exit(kExitCannotExec);
}

bool reset_signals() {
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    // EINVAL: the C library keeps two for itself, and never ignores them.
    if (::sigaction(signal, &by_default, nullptr) != 0 && errno != EINVAL) return false;
  }
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// Moves `fd` to a number from `first_free` on if it stands below.
bool move_away(int& fd, int first_free) {
  if (fd >= first_free) return true;
  fd = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free);
  return fd >= 0;
}

// First every source goes out of the way, then each takes its place: so it does not matter who stands where.
void place_descriptors(const ChildProgram& program, int& status_pipe) {
  const int old_status_pipe = status_pipe;
  if (!move_away(status_pipe, program.first_free)) fail(old_status_pipe, ChildStage::OtherDescriptors, errno, 0);
  for (std::size_t i = 0; i < program.moves.size(); ++i) {
    if (!move_away(program.moves[i].from, program.first_free)) fail(status_pipe, ChildStage::Descriptor, errno, i);
  }
  for (std::size_t i = 0; i < program.moves.size(); ++i) {
    if (::dup2(program.moves[i].from, program.moves[i].to) < 0) fail(status_pipe, ChildStage::Descriptor, errno, i);
  }
  // The flag came with Linux 5.11. Closed by the exec, not now: the status pipe is among them.
  for (const FdRange& range : program.others) {
    if (::close_range(range.first, range.last, CLOSE_RANGE_CLOEXEC) != 0) {
      fail(status_pipe, ChildStage::OtherDescriptors, errno, 0);
    }
  }
}

// As execvp: goes on where there is no such file, remembers the first that is there and cannot be run.
[[noreturn]] void exec_first(const ChildProgram& program, int status_pipe) {
  ChildFailure failure{ChildStage::FindCommand, ENOENT, 0};
  for (std::size_t i = 0; program.candidates[i] != nullptr; ++i) {
    const char* const path = program.candidates[i];
    ::execve(path, program.arguments, program.environment);
    const int error = errno;
    const bool exists = ::access(path, F_OK) == 0;
    const bool may_be_elsewhere = error == ENOENT || error == ENOTDIR || error == EACCES;
    const auto index = static_cast<std::int32_t>(i);
    if (!may_be_elsewhere) fail(status_pipe, ChildStage::Exec, error, i);
    if (i == 0 && program.candidates[1] == nullptr)
      failure.error = error;  // nothing to choose from: what the kernel says
    if (!exists || failure.stage != ChildStage::FindCommand) continue;
    failure = {error == ENOENT ? ChildStage::ExecInterpreter : ChildStage::Exec, error, index};
  }
  fail(status_pipe, failure.stage, failure.error, static_cast<std::size_t>(failure.index));
}

}  // namespace

void child_exec(const ChildProgram& program) noexcept {
  int status_pipe = program.status_pipe;
  if (::setpgid(0, 0) != 0) fail(status_pipe, ChildStage::ProcessGroup, errno, 0);
  if (!reset_signals()) fail(status_pipe, ChildStage::Signals, errno, 0);
  if (program.working_directory != nullptr && ::chdir(program.working_directory) != 0) {
    fail(status_pipe, ChildStage::WorkingDirectory, errno, 0);
  }
  place_descriptors(program, status_pipe);
  // Only now: the moves may need numbers that the child's own limit forbids.
  if (program.open_files != nullptr && ::setrlimit(RLIMIT_NOFILE, program.open_files) != 0) {
    fail(status_pipe, ChildStage::OpenFileLimit, errno, 0);
  }
  exec_first(program, status_pipe);
}

}  // namespace holdfast
