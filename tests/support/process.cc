#include "support/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <system_error>

#include "support/temp_directory.h"

namespace holdfast::test {

namespace fs = std::filesystem;

namespace {

std::set<pid_t>& owned() {
  static std::set<pid_t> pids;  // of the living Process objects
  return pids;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& additions) {
  std::vector<std::string> merged;
  const auto name_of = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool replaced = std::any_of(additions.begin(), additions.end(), [&](const std::string& addition) {
      return name_of(addition) == name_of(*entry);
    });
    if (!replaced) merged.emplace_back(*entry);
  }
  merged.insert(merged.end(), additions.begin(), additions.end());
  return merged;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

void redirect(const char* file, int descriptor) {
  const int fd = ::open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd >= 0) (void)::dup2(fd, descriptor);
  if (fd > 2) ::close(fd);
}

// The fields of /proc/PID/stat after the name, which may contain anything: state, parent, ...
std::vector<std::string> stat_of(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

std::optional<int> number_in(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<int> numbered_entries(const fs::path& directory) {
  std::vector<int> numbers;
  std::error_code vanished;  // processes and descriptors may go while we look
  for (auto entry = fs::directory_iterator(directory, vanished); entry != fs::directory_iterator();
       entry.increment(vanished)) {
    if (const std::optional<int> number = number_in(entry->path().filename().string())) numbers.push_back(*number);
    if (vanished) break;
  }
  return numbers;
}

}  // namespace

Process::Process(const ProcessPlan& plan) {
  adopt_orphans();
  const std::vector<std::string> environment = merged_environment(plan.environment);
  const std::vector<char*> argv = pointers(plan.command);
  const std::vector<char*> envp = pointers(environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ != 0) {
    if (pid_ < 0) ADD_FAILURE() << "fork: " << std::strerror(errno);
    owned().insert(pid_);
    return;
  }
  // The child, until the exec: only what is safe after a fork of a threaded program.
  (void)::setsid();
  if (!plan.terminal.empty() && ::open(plan.terminal.c_str(), O_RDWR | O_CLOEXEC) < 0) ::_exit(127);
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  redirect("/dev/null", 0);
  redirect(plan.output_file.c_str(), 1);
  redirect(plan.error_file.c_str(), 2);
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  if (plan.open_files) {
    const rlimit files{*plan.open_files, *plan.open_files};
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::execvpe(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

Process::~Process() {
  if (running()) {
    signal(SIGKILL);
    (void)exit_code();
  }
  owned().erase(pid_);
}

void Process::signal(int number) const {
  if (pid_ > 0 && !exit_code_) (void)::kill(pid_, number);
}

bool Process::running() { return pid_ > 0 && !exit_code(Duration::zero()); }

std::optional<int> Process::exit_code(Duration patience) {
  if (exit_code_ || pid_ < 0) return exit_code_;
  int status = 0;
  if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) != 0; }, patience)) return std::nullopt;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_code_;
}

Ran run(std::vector<std::string> command, std::vector<std::string> environment) {
  const TempDirectory directory;
  ProcessPlan plan;
  plan.command = std::move(command);
  plan.environment = std::move(environment);
  plan.output_file = directory / "out";
  plan.error_file = directory / "err";
  Process process(plan);
  const std::optional<int> code = process.exit_code();
  Ran ran{code.value_or(-1), text_of(plan.output_file), text_of(plan.error_file)};
  if (!code) ADD_FAILURE() << plan.command[0] << " does not end; it said: " << ran.output << ran.errors;
  return ran;
}

void adopt_orphans() { (void)::prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<pid_t> orphans() {
  std::vector<pid_t> left;
  for (const pid_t pid : children_of(::getpid())) {
    if (owned().contains(pid)) continue;
    if (::waitpid(pid, nullptr, WNOHANG) == 0) left.push_back(pid);
  }
  return left;
}

void send_signal(pid_t pid, int number) {
  if (pid <= 0) {
    ADD_FAILURE() << "no process to signal: pid " << pid;
  } else {
    (void)::kill(pid, number);
  }
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const pid_t pid : numbered_entries("/proc")) {
    const std::vector<std::string> stat = stat_of(pid);
    if (stat.size() > 1 && stat[1] == std::to_string(parent)) children.push_back(pid);
  }
  return children;
}

bool alive(pid_t pid) {
  const std::string state = process_state(pid);
  return !state.empty() && state != "Z" && state != "X";
}

std::string command_line_of(pid_t pid) {
  std::string text = text_of("/proc/" + std::to_string(pid) + "/cmdline");
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::size_t open_files_of(pid_t pid) { return descriptors_of(pid).size(); }

std::vector<int> descriptors_of(pid_t pid) {
  std::vector<int> numbers = numbered_entries("/proc/" + std::to_string(pid) + "/fd");
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::uint64_t anonymous_memory_of(pid_t pid) {
  std::istringstream status(text_of("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  }
  return 0;
}

Duration cpu_time_of(pid_t pid) {
  Duration total{};
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const int thread : numbered_entries(tasks)) {
    std::istringstream schedstat(text_of(tasks + "/" + std::to_string(thread) + "/schedstat"));
    Duration::rep nanoseconds = 0;
    if (schedstat >> nanoseconds) total += Duration(nanoseconds);
  }
  return total;
}

std::string process_state(pid_t pid) {
  const std::vector<std::string> stat = stat_of(pid);
  return stat.empty() ? std::string() : stat[0];
}

long system_call_of(pid_t pid) {
  std::istringstream text(text_of("/proc/" + std::to_string(pid) + "/syscall"));
  long number = -1;
  return text >> number ? number : -1;
}

bool waits_for_events(pid_t pid) {
  const long call = system_call_of(pid);
#ifdef SYS_epoll_wait  // newer machines have only the other
  if (call == SYS_epoll_wait) return true;
#endif
  return call == SYS_epoll_pwait;
}

}  // namespace holdfast::test
