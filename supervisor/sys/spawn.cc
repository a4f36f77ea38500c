#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <limits>

#include "sys/bind_filter.h"
#include "sys/child_exec.h"
#include "sys/child_text.h"
#include "sys/fd_passing.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

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
  int next = STDERR_FILENO + 1;
  for (const ListenFd& socket : plan.listen_fds) moves.push_back({socket.fd.get(), next++});
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

// In the order of ResourceLimit::Resource.
constexpr std::array<int, 15> kResources = {RLIMIT_AS,     RLIMIT_CORE,       RLIMIT_CPU,     RLIMIT_DATA,
                                            RLIMIT_FSIZE,  RLIMIT_LOCKS,      RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE,
                                            RLIMIT_NICE,   RLIMIT_NOFILE,     RLIMIT_NPROC,   RLIMIT_RTPRIO,
                                            RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK};
static_assert(ResourceLimit::kUnlimited == RLIM_INFINITY);

// The limit that the child is to have if nobody has chosen one, and it is another than ours.
std::optional<rlimit> open_files_of_child() {
  const std::optional<std::uint64_t> original = original_open_file_limit();
  rlimit limit{};
  if (!original || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  limit.rlim_cur = std::min<rlim_t>(*original, limit.rlim_max);
  return limit;
}

std::vector<ChildLimit> limits_of(const SpawnPlan& plan) {
  std::vector<ChildLimit> limits;
  bool open_files_chosen = false;
  for (const ResourceLimit& limit : plan.limits) {
    limits.push_back({kResources[static_cast<std::size_t>(limit.resource)], {limit.soft, limit.hard}});
    open_files_chosen |= limit.resource == ResourceLimit::Resource::Nofile;
  }
  const std::optional<rlimit> open_files = open_files_of_child();
  if (open_files && !open_files_chosen) limits.push_back({RLIMIT_NOFILE, *open_files});
  return limits;
}

// A mask as sched_setaffinity takes it: a bit for each CPU.
std::vector<unsigned long> mask_of(const std::vector<unsigned>& cpus) {
  constexpr unsigned kBits = std::numeric_limits<unsigned long>::digits;
  std::vector<unsigned long> mask;
  for (const unsigned cpu : cpus) {
    if (mask.size() <= cpu / kBits) mask.resize(cpu / kBits + 1);
    mask[cpu / kBits] |= 1UL << (cpu % kBits);
  }
  return mask;
}

// What the child said until it closed its end.
struct ChildStory {
  std::optional<ChildFailure> failure;  // nothing once the exec has succeeded
  UniqueFd capture;
  bool capture_lost = false;  // it came, but we have no descriptor left to take it
};

ChildStory listen_to_child(BorrowedFd status_socket) {
  ChildStory story;
  while (true) {
    ChildFailure failure{};
    pollfd readable{status_socket.get(), POLLIN, 0};
    if (::poll(&readable, 1, -1) < 0) continue;  // EINTR
    Result<Received> received = receive_with_fds(status_socket, std::as_writable_bytes(std::span(&failure, 1)));
    if (!received || received->state == Received::State::Closed) return story;
    if (received->length == sizeof failure) story.failure = failure;
    if (!received->fds.empty()) story.capture = std::move(received->fds.front());
    if (received->fds_lost) story.capture_lost = true;
  }
}

std::string listed(const std::vector<unsigned>& cpus) {
  std::string text;
  for (const unsigned cpu : cpus) text += (text.empty() ? "" : ",") + std::to_string(cpu);
  return text;
}

std::string cannot_intercept(const std::string& command, int error) {
  // A process cannot have two holders of notifications.
  const char* const reason = error == EBUSY
                                 ? "somebody else, a container manager perhaps, intercepts system calls of ours already"
                                 : "it needs seccomp user notification, which this kernel or container does not give";
  return "intercept the bind of " + command + " (" + reason + "; the intakes listen-fds and sdk work without)";
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
    case ChildStage::Cpus:
      return with("pin " + command + " to the CPUs " + listed(plan.cpus) + " (is one of them there, and permitted?)");
    case ChildStage::DeathSignal:
      return with("have " + command + " end with the supervisor");
    case ChildStage::Descriptor:
      return with("pass descriptor " + std::to_string(moves[index].to) + " to " + command);
    case ChildStage::OtherDescriptors:
      return with("close the descriptors that are not for " + command);
    case ChildStage::NoNewPrivileges:
    case ChildStage::Filter:
      return with(cannot_intercept(command, failure.error));
    case ChildStage::Notifications:
      return with("hand over the notifications of " + command);
    case ChildStage::Limit:
      if (index >= plan.limits.size()) return with("set the limit of open files of " + command);
      return with("set the limit " + to_text({plan.limits[index]}) + " of " + command +
                  (failure.error == EPERM ? " (only root may go above its own hard limit)" : ""));
    case ChildStage::Nice:
      return with("change the niceness of " + command + " by " + std::to_string(plan.nice));
    case ChildStage::Groups:
      return with("give " + command + " the groups of its user");
    case ChildStage::Group:
      return with("give " + command + " the group " + std::to_string(plan.credentials->group));
    case ChildStage::User:
      return with("give " + command + " the user " + std::to_string(plan.credentials->user));
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

void end_child(pid_t pid) {
  (void)::kill(pid, SIGKILL);
  (void)::kill(-pid, SIGKILL);  // what it may have started; there is no group yet if it died early
  collect(pid);
}

}  // namespace

Result<Child> spawn(const SpawnPlan& plan) {
  if (!ChildText::is_exact(plan)) {
    const std::string name = plan.command.empty() ? "a command without a name" : plan.command.front();
    return Error{std::make_error_code(std::errc::invalid_argument), "start " + name};
  }
  const std::string doing = "start " + plan.command.front();
  keep_exit_statuses();

  // Everything that needs memory comes before the fork.
  const ChildText text(plan);
  const std::vector<unsigned long> cpus = mask_of(plan.cpus);
  Result<std::vector<sock_filter>> filter = plan.capture ? make_bind_filter() : std::vector<sock_filter>{};
  if (!filter) return std::move(filter).error();
  const sock_fprog filter_program{static_cast<unsigned short>(filter->size()), filter->data()};

  const UniqueFd null_device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_device) return last_error("open /dev/null");
  std::vector<FdMove> moves = moves_of(plan, null_device);
  const std::optional<std::vector<FdRange>> others = others_of(moves, plan.fds.size() + plan.listen_fds.size());
  if (!others) return Error{std::make_error_code(std::errc::invalid_argument), doing + " (descriptor numbers)"};
  const std::vector<ChildLimit> limits = limits_of(plan);

  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return last_error(doing);
  const UniqueFd our_end(ends[0]);
  UniqueFd child_end(ends[1]);

  const ChildProgram program{
      .candidates = text.candidate_pointers(),
      .arguments = text.arguments(),
      .environment = text.environment(),
      .pid_markers = text.pid_markers(),
      .working_directory = plan.working_directory.empty() ? nullptr : plan.working_directory.c_str(),
      .cpus = cpus,
      .death_signal = plan.death_signal,
      .parent = ::getpid(),
      .moves = moves,
      .first_free = static_cast<int>(others->back().first),
      .others = *others,
      .filter = plan.capture ? &filter_program : nullptr,
      .limits = limits,
      .nice = plan.nice,
      .umask = plan.umask.bits ? static_cast<int>(*plan.umask.bits) : -1,
      .who = plan.credentials ? &*plan.credentials : nullptr,
      .status_socket = child_end.get()};
  pid_t pid = -1;
  {
    const SignalsBlocked blocked;
    pid = ::fork();
    if (pid == 0) child_exec(program);
  }
  if (pid < 0) return last_error(doing);
  child_end.reset();

  // Nobody but us reaps it, so the number is still its own.
  UniqueFd pidfd(pidfd_open(pid));
  if (!pidfd) {
    Error error = last_error(doing);
    end_child(pid);
    return error;
  }
  ChildStory story = listen_to_child(our_end);
  if (story.failure) {
    collect(pid);
    return error_of(*story.failure, plan, text.candidates(), moves);
  }
  if (story.capture_lost) {
    end_child(pid);
    return Error{std::make_error_code(std::errc::too_many_files_open),
                 "take the notifications of " + plan.command.front()};
  }
  return Child{pid, std::move(pidfd), std::move(story.capture)};
}

}  // namespace holdfast
