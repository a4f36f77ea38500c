#include "sys/child_exec.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/worker_template.h"

#include "sys/bind_filter.h"

namespace holdfast {
namespace {

constexpr int kExitCannotExec = 127;  // as a shell says it; the parent has the whole story from the socket

[[noreturn]] void fail(int status_socket, ChildStage stage, int error, std::size_t index) {
  const ChildFailure failure{stage, error, static_cast<std::int32_t>(index)};
  (void)!::write(status_socket, &failure,
                 sizeof failure);  // one message: whole or not at all, and there is nobody else to tell
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

// Writes the number of this process over each marker, and draws up what follows: a number is never longer than one.
void fill_in_pid(std::span<char* const> markers) {
  std::array<char, kPidMarker.size()> digits{};
  std::size_t first = digits.size();
  for (unsigned rest = static_cast<unsigned>(::getpid()); rest > 0 && first > 0; rest /= 10) {
    digits[--first] = static_cast<char>('0' + rest % 10);
  }
  const std::size_t length = digits.size() - first;
  for (char* const marker : markers) {
    const char* const behind = marker + kPidMarker.size();
    std::memcpy(marker, &digits[first], length);
    std::memmove(marker + length, behind, std::strlen(behind) + 1);
  }
}

bool pin(std::span<const unsigned long> cpus) {
  return cpus.empty() ||
         ::sched_setaffinity(0, cpus.size_bytes(), reinterpret_cast<const cpu_set_t*>(cpus.data())) == 0;
}

// Moves `fd` to a number from `first_free` on if it stands below.
bool move_away(int& fd, int first_free) {
  if (fd >= first_free) return true;
  fd = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free);
  return fd >= 0;
}

// First every source goes out of the way, then each takes its place: so it does not matter who stands where.
void place_descriptors(const ChildProgram& program, int& status_socket) {
  const int old_status_socket = status_socket;
  if (!move_away(status_socket, program.first_free)) fail(old_status_socket, ChildStage::OtherDescriptors, errno, 0);
  for (std::size_t i = 0; i < program.moves.size(); ++i) {
    if (!move_away(program.moves[i].from, program.first_free)) fail(status_socket, ChildStage::Descriptor, errno, i);
  }
  for (std::size_t i = 0; i < program.moves.size(); ++i) {
    if (::dup2(program.moves[i].from, program.moves[i].to) < 0) fail(status_socket, ChildStage::Descriptor, errno, i);
  }
  // The flag came with Linux 5.11. Closed by the exec, not now: the status pipe is among them.
  for (const FdRange& range : program.others) {
    if (::close_range(range.first, range.last, CLOSE_RANGE_CLOEXEC) != 0) {
      fail(status_socket, ChildStage::OtherDescriptors, errno, 0);
    }
  }
}

bool send_descriptor(int socket, int fd) {
  char byte = 0;
  iovec data{&byte, sizeof byte};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

// From here on this process must not bind or listen: nobody answers before the exec is over.
void let_calls_be_intercepted(const sock_fprog& filter, int status_socket) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(status_socket, ChildStage::NoNewPrivileges, errno, 0);
  const int notifications = set_bind_filter(filter);
  if (notifications < 0) fail(status_socket, ChildStage::Filter, errno, 0);
  if (!send_descriptor(status_socket, notifications)) fail(status_socket, ChildStage::Notifications, errno, 0);
}

// A parent that has died before we asked will never signal us; and nobody knows of us.
bool die_with_parent(int signal, int parent) {
  if (signal != 0 && ::prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0) return false;
  if (::getppid() != parent) ::_exit(kExitCannotExec);
  return true;
}

void take_limits(const ChildProgram& program, int status_socket) {
  for (std::size_t i = 0; i < program.limits.size(); ++i) {
    const auto resource = static_cast<__rlimit_resource>(program.limits[i].resource);
    if (::setrlimit(resource, &program.limits[i].limit) != 0) fail(status_socket, ChildStage::Limit, errno, i);
  }
  errno = 0;
  if (program.nice != 0 && ::nice(program.nice) == -1 && errno != 0) fail(status_socket, ChildStage::Nice, errno, 0);
  if (program.umask >= 0) (void)::umask(static_cast<mode_t>(program.umask));
}

// The user last: whoever is not root any more may change nothing else. There is one thread, so the system calls will do; those of
// the C library would wait for others.
void become(const Credentials& who, int status_socket) {
  const bool needed = ::geteuid() != who.user || ::getegid() != who.group || ::geteuid() == 0;
  if (!needed) return;
  if (::syscall(SYS_setgroups, who.groups.size(), who.groups.data()) != 0) {
    fail(status_socket, ChildStage::Groups, errno, 0);
  }
  if (::syscall(SYS_setresgid, who.group, who.group, who.group) != 0) fail(status_socket, ChildStage::Group, errno, 0);
  if (::syscall(SYS_setresuid, who.user, who.user, who.user) != 0) fail(status_socket, ChildStage::User, errno, 0);
}

// As execvp: goes on where there is no such file, remembers the first that is there and cannot be run.
[[noreturn]] void exec_first(const ChildProgram& program, int status_socket) {
  ChildFailure failure{ChildStage::FindCommand, ENOENT, 0};
  for (std::size_t i = 0; program.candidates[i] != nullptr; ++i) {
    const char* const path = program.candidates[i];
    ::execve(path, program.arguments, program.environment);
    const int error = errno;
    const bool exists = ::access(path, F_OK) == 0;
    const bool may_be_elsewhere = error == ENOENT || error == ENOTDIR || error == EACCES;
    const auto index = static_cast<std::int32_t>(i);
    if (!may_be_elsewhere) fail(status_socket, ChildStage::Exec, error, i);
    if (i == 0 && program.candidates[1] == nullptr)
      failure.error = error;  // nothing to choose from: what the kernel says
    if (!exists || failure.stage != ChildStage::FindCommand) continue;
    failure = {error == ENOENT ? ChildStage::ExecInterpreter : ChildStage::Exec, error, index};
  }
  fail(status_socket, failure.stage, failure.error, static_cast<std::size_t>(failure.index));
}

}  // namespace

void child_exec(const ChildProgram& program) noexcept {
  int status_socket = program.status_socket;
  if (::setpgid(0, 0) != 0) fail(status_socket, ChildStage::ProcessGroup, errno, 0);
  if (!reset_signals()) fail(status_socket, ChildStage::Signals, errno, 0);
  fill_in_pid(program.pid_markers);
  if (program.working_directory != nullptr && ::chdir(program.working_directory) != 0) {
    fail(status_socket, ChildStage::WorkingDirectory, errno, 0);
  }
  if (!pin(program.cpus)) fail(status_socket, ChildStage::Cpus, errno, 0);
  place_descriptors(program, status_socket);
  if (program.filter != nullptr) let_calls_be_intercepted(*program.filter, status_socket);
  // Only now: what came before may need numbers that the child's own limit forbids.
  take_limits(program, status_socket);
  if (program.who != nullptr) become(*program.who, status_socket);
  // The kernel forgets it when the user changes.
  if (!die_with_parent(program.death_signal, program.parent)) fail(status_socket, ChildStage::DeathSignal, errno, 0);
  exec_first(program, status_socket);
}

}  // namespace holdfast
