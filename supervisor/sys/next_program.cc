#include "sys/next_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "sys/environment.h"
#include "sys/sealed_memory.h"
#include "sys/text_file.h"

namespace holdfast {

namespace {

constexpr std::size_t kLongestCommandLine = std::size_t{2} << 20;  // ARG_MAX
constexpr std::string_view kReplaced = " (deleted)";               // as the kernel shows a file that has lost its name
constexpr std::array<std::string_view, 4> kOfActivation = {
    "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID="};

void change_mask(int how, const std::vector<int>& signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  (void)::pthread_sigmask(how, &set, nullptr);  // cannot fail for a set that exists
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));  // exec only reads them
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::string& variable) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    const bool of_activation = std::any_of(kOfActivation.begin(), kOfActivation.end(),
                                           [&](std::string_view name) { return text.starts_with(name); });
    if (!of_activation) environment.emplace_back(text);
  }
  environment.push_back(variable);
  return environment;
}

}  // namespace

Result<std::string> own_program() {
  std::error_code code;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", code).string();
  if (code) return Error{code, "find our own program"};
  if (path.ends_with(kReplaced)) path.resize(path.size() - kReplaced.size());
  return path;
}

Result<std::vector<std::string>> own_arguments() {
  Result<std::string> text = read_text_file("/proc/self/cmdline", kLongestCommandLine);
  if (!text) return std::move(text).error();
  std::vector<std::string> arguments;
  for (std::size_t begin = 0; begin < text->size();) {
    const std::size_t end = std::min(text->find('\0', begin), text->size());
    arguments.push_back(text->substr(begin, end - begin));
    begin = end + 1;
  }
  return arguments;
}

Result<UniqueFd> sealed_text(std::string_view text) {
  Result<UniqueFd> memory = make_memory("holdfast-state");
  if (!memory) return memory;
  if (Outcome written = append_to_memory(*memory, text); !written) return std::move(written).error();
  if (Outcome sealed = seal_memory(*memory); !sealed) return std::move(sealed).error();
  return memory;
}

Result<std::string> read_sealed_text(BorrowedFd fd, std::size_t limit) {
  const char* const doing = "read the state of a supervisor";
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < 0) return last_error(doing);
  if (static_cast<std::uint64_t>(size) > limit) return Error{std::make_error_code(std::errc::file_too_large), doing};
  std::string text(static_cast<std::size_t>(size), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t count = ::pread(fd.get(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error(doing);
    if (count == 0) text.resize(at);  // nobody can have cut it short if it is sealed
    at += static_cast<std::size_t>(count);
  }
  return text;
}

Result<UniqueFd> bounded_memory(std::size_t size) {
  const char* const doing = "make room for what a program says";
  UniqueFd fd(::memfd_create("holdfast-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return last_error(doing);
  }
  return fd;
}

// Whoever writes moves the position that we share with him.
std::string written_text(BorrowedFd memory) {
  const off_t length = std::max<off_t>(::lseek(memory.get(), 0, SEEK_CUR), 0);
  std::string text(static_cast<std::size_t>(length), '\0');
  const ssize_t count = ::pread(memory.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

SignalsHeld::SignalsHeld(const std::vector<int>& signals) : signals_(signals) { change_mask(SIG_BLOCK, signals_); }
SignalsHeld::~SignalsHeld() { change_mask(SIG_UNBLOCK, signals_); }
void hold_signals(const std::vector<int>& signals) { change_mask(SIG_BLOCK, signals); }
void release_signals(const std::vector<int>& signals) { change_mask(SIG_UNBLOCK, signals); }

UniqueFd take_inherited_state() {
  const std::optional<std::string> text = environment_variable(kTakeoverVariable);
  if (!text) return {};
  (void)::unsetenv(kTakeoverVariable);  // NOLINT(concurrency-mt-unsafe): nothing else runs yet
  int fd = -1;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), fd);
  const bool is_number = code == std::errc{} && end == text->data() + text->size();
  if (!is_number || fd <= STDERR_FILENO || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return {};
  return UniqueFd(fd);
}

Error become(const std::string& program, const std::vector<std::string>& arguments, BorrowedFd state,
             const std::vector<BorrowedFd>& fds) {
  std::vector<std::string> environment =
      environment_with(std::string(kTakeoverVariable) + "=" + std::to_string(state.get()));
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  const auto set_all = [&](int flags) {
    (void)::fcntl(state.get(), F_SETFD, flags);  // cannot fail for a descriptor that is open
    for (const BorrowedFd fd : fds) (void)::fcntl(fd.get(), F_SETFD, flags);
  };
  set_all(0);
  ::execve(program.c_str(), argument_pointers.data(), environment_pointers.data());
  Error error = last_error("exec " + program);
  set_all(FD_CLOEXEC);
  return error;
}

}  // namespace holdfast
