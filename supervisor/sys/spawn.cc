#include "sys/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string_view>

#include "sys/child_exec.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";  // where the environment has no PATH

bool has_zero(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// What exec would cut short or misread without a word.
bool is_exact(const SpawnPlan& plan) {
  if (plan.command.empty() || plan.command.front().empty() || has_zero(plan.working_directory)) return false;
  const auto bad_variable = [](const auto& variable) {
    const auto& [name, value] = variable;
    return name.empty() || name.find('=') != std::string::npos || has_zero(name) || has_zero(value);
  };
  return std::none_of(plan.command.begin(), plan.command.end(), has_zero) &&
         std::none_of(plan.environment.begin(), plan.environment.end(), bad_variable);
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

// The null-terminated form that exec wants; valid as long as the strings are.
std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Open, and meant to be inherited. What we opened ourselves while a standard descriptor was closed is neither ours to
// give nor theirs.
bool is_inheritable(int fd) {
  const int flags = ::fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

std::vector<FdMove> moves_of(const SpawnPlan& plan, BorrowedFd null_device) {
  std::vector<FdMove> moves{{null_device.get(), STDIN_FILENO}};
  const auto standard = [&](const std::optional<BorrowedFd>& ours, int number) {
    if (ours) {
      moves.push_back({ours->get(), number});
    } else if (!is_inheritable(number)) {
      moves.push_back({null_device.get(), number});
    }
  };
  standard(plan.standard_output, STDOUT_FILENO);
  standard(plan.standard_error, STDERR_FILENO);
  for (const auto& [ours, number] : plan.fds) moves.push_back({ours.get(), number});
  return moves;
}

// The gaps between the targets, from 3 on. Nothing if a number is given twice or is none of a plan's.
std::optional<std::vector<FdRange>> others_of(const std::vector<FdMove>& moves, std::size_t planned) {
  std::vector<int> targets;
  for (std::size_t i = moves.size() - planned; i < moves.size(); ++i) targets.push_back(moves[i].to);
  std::sort(targets.begin(), targets.end());
  if (std::adjacent_find(targets.begin(), targets.end()) != targets.end()) return std::nullopt;
  if (!targets.empty() && (targets.front() <= STDERR_FILENO || targets.back() == INT_MAX)) return std::nullopt;

  std::vector<FdRange> ranges;
  unsigned next = STDERR_FILENO + 1;
  for (const int target : targets) {
    const auto number = static_cast<unsigned>(target);
    if (number > next) ranges.push_back({next, number - 1});
    next = number + 1;
  }
  ranges.push_back({next, UINT_MAX});
  return ranges;
}

// Keeps every signal away from the child until it has dispositions of its own: a handler of ours must not run there.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

// With SIGCHLD ignored, as some parents leave it, the kernel would reap our children behind our back.
void keep_exit_statuses() {
  struct sigaction now {};
  if (::sigaction(SIGCHLD, nullptr, &now) != 0 || now.sa_handler != SIG_IGN) return;
  now.sa_handler = SIG_DFL;
  (void)::sigaction(SIGCHLD, &now, nullptr);  // cannot fail for this signal
}

// The limit that the child is to have, if it is another than ours.
std::optional<rlimit> open_files_of_child() {
  const std::optional<std::uint64_t> original = original_open_file_limit();
  rlimit limit{};
  if (!original || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  limit.rlim_cur = std::min<rlim_t>(*original, limit.rlim_max);
  return limit;
}

// Nothing once the exec has succeeded: the pipe was closed by it.
std::optional<ChildFailure> read_failure(BorrowedFd status_pipe) {
  ChildFailure failure{};
  ssize_t length = -1;
  do {
    length = ::read(status_pipe.get(), &failure, sizeof failure);
  } while (length < 0 && errno == EINTR);
  if (length != static_cast<ssize_t>(sizeof failure)) return std::nullopt;
  return failure;
}

Error error_of(const ChildFailure& failure, const SpawnPlan& plan, const std::vector<std::string>& candidates,
               const std::vector<FdMove>& moves) {
  const std::string& command = plan.command.front();
  const auto index = static_cast<std::size_t>(failure.index);
  const auto with = [&](std::string doing) {
    return Error{std::error_code(failure.error, std::generic_category()), std::move(doing)};
  };
  switch (failure.stage) {
    case ChildStage::ProcessGroup:
      return with("give " + command + " a process group");
    case ChildStage::Signals:
      return with("reset the signals of " + command);
    case ChildStage::WorkingDirectory:
      return with("chdir " + plan.working_directory);
    case ChildStage::Descriptor:
      return with("pass descriptor " + std::to_string(moves[index].to) + " to " + command);
    case ChildStage::OtherDescriptors:
      return with("close the descriptors that are not for " + command);
    case ChildStage::OpenFileLimit:
      return with("set the limit of open files of " + command);
    case ChildStage::FindCommand:
      if (command.find('/') != std::string::npos) return with("exec " + command);
      return with("find command " + command + " in PATH");
    case ChildStage::Exec:
      return with("exec " + candidates[index]);
    case ChildStage::ExecInterpreter:
      return with("exec " + candidates[index] + " (its interpreter is missing)");
  }
  return with("start " + command);
}

// <sys/pidfd.h> of glibc 2.36 gives it the linkage of C++.
int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

void collect(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Child> spawn(const SpawnPlan& plan) {
  if (!is_exact(plan)) {
    const std::string name = plan.command.empty() ? "a command without a name" : plan.command.front();
    return Error{std::make_error_code(std::errc::invalid_argument), "start " + name};
  }
  const std::string doing = "start " + plan.command.front();
  keep_exit_statuses();

  // Everything that needs memory comes before the fork.
  std::vector<std::string> candidates = candidates_of(plan);
  std::vector<std::string> arguments = plan.command;
  std::vector<std::string> variables;
  for (const auto& [name, value] : plan.environment) variables.emplace_back(name).append("=").append(value);
  const std::vector<char*> candidate_pointers = pointers_to(candidates);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> variable_pointers = pointers_to(variables);

  const UniqueFd null_device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_device) return last_error("open /dev/null");
  std::vector<FdMove> moves = moves_of(plan, null_device);
  const std::optional<std::vector<FdRange>> others = others_of(moves, plan.fds.size());
  if (!others) return Error{std::make_error_code(std::errc::invalid_argument), doing + " (descriptor numbers)"};
  const std::optional<rlimit> open_files = open_files_of_child();

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return last_error(doing);
  const UniqueFd status_read(ends[0]);
  UniqueFd status_write(ends[1]);

  const ChildProgram program{
      .candidates = candidate_pointers.data(),
      .arguments = argument_pointers.data(),
      .environment = variable_pointers.data(),
      .working_directory = plan.working_directory.empty() ? nullptr : plan.working_directory.c_str(),
      .moves = moves,
      .first_free = static_cast<int>(others->back().first),
      .others = *others,
      .open_files = open_files ? &*open_files : nullptr,
      .status_pipe = status_write.get()};
  pid_t pid = -1;
  {
    const SignalsBlocked blocked;
    pid = ::fork();
    if (pid == 0) child_exec(program);
  }
  if (pid < 0) return last_error(doing);
  status_write.reset();

  // Nobody but us reaps it, so the number is still its own.
  UniqueFd pidfd(pidfd_open(pid));
  if (!pidfd) {
    Error error = last_error(doing);
    (void)::kill(pid, SIGKILL);
    collect(pid);
    return error;
  }
  if (const std::optional<ChildFailure> failure = read_failure(status_read)) {
    collect(pid);
    return error_of(*failure, plan, candidates, moves);
  }
  return Child{pid, std::move(pidfd)};
}

}  // namespace holdfast
