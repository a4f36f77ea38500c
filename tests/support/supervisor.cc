#include "support/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "test_paths.h"

namespace holdfast::test {

namespace {

// After a failure nothing more is learnt from long waits.
Duration patience_left(Duration patience) {
  constexpr Duration kAfterFailure = std::chrono::seconds(3);
  return testing::Test::HasFailure() ? std::min(patience, kAfterFailure) : patience;
}

// One line there and one line back, over a socket of its own.
std::optional<std::string> exchange_lines(const std::string& path, const std::string& line, Duration patience) {
  const Endpoint target = endpoint("unix:" + path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string received;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.length) == 0 &&
      ::send(fd, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size())) {
    const Clock::time_point deadline = Clock::now() + patience;
    while (!received.ends_with('\n')) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      pollfd readable{fd, POLLIN, 0};
      if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) <= 0) break;
      char buffer[65536];
      const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
      if (size <= 0) break;
      received.append(buffer, static_cast<std::size_t>(size));
    }
  }
  ::close(fd);
  if (!received.ends_with('\n')) return std::nullopt;
  return received;
}

std::string list_of(const std::vector<pid_t>& pids) {
  std::string text;
  for (const pid_t pid : pids)
    text += "\n  " + std::to_string(pid) + " " + process_state(pid) + " " + command_line_of(pid);
  return text;
}

}  // namespace

std::string holdfast_program() { return HOLDFAST_BIN "/holdfast"; }
std::string whoami_program() { return HOLDFAST_BIN "/whoami"; }
std::string source_file(std::string_view path) { return HOLDFAST_SOURCE "/" + std::string(path); }

Supervisor::Supervisor(SupervisorPlan plan, const TempDirectory* directory, const std::string& control) {
  static std::atomic<unsigned> count{0};  // two in one directory do not share files
  if (directory == nullptr) directory = &own_directory_.emplace();
  directory_ = directory;
  const std::string number = std::to_string(count++);
  control_ = control.empty() ? *directory_ / ("control" + number) : control;
  output_file_ = *directory_ / ("out" + number);
  error_file_ = *directory_ / ("err" + number);

  ProcessPlan process;
  process.command = {holdfast_program(), "run", "--control", control_};
  if (plan.workers > 0) process.command.insert(process.command.end(), {"-w", std::to_string(plan.workers)});
  for (const std::string& address : plan.listen) {
    process.command.insert(process.command.end(), {"-l", in_directory(address)});
  }
  for (const std::string& option : plan.options) process.command.push_back(in_directory(option));
  process.command.emplace_back("--");
  for (const std::string& word : plan.command) process.command.push_back(in_directory(word));
  for (const std::string& entry : plan.environment) process.environment.push_back(in_directory(entry));
  process.output_file = output_file_;
  process.error_file = error_file_;
  process.open_files = plan.open_files;
  process.terminal = plan.terminal;
  process_ = std::make_unique<Process>(process);
}

namespace {

// What explains a failure may stand long before the end.
std::string warnings_in(const std::string& log) {
  std::istringstream lines(log);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    const bool tells = line.find(" warning: ") != std::string::npos || line.find(" error: ") != std::string::npos;
    if (tells) found += line + "\n";
  }
  return found;
}

}  // namespace

Supervisor::~Supervisor() {
  if (process_->running()) {
    // In this order: a SIGCONT while it ends would undo the SIGSTOP by which LeakSanitizer attaches to the process, and both
    // would wait for ever.
    process_->signal(SIGCONT);
    process_->signal(SIGQUIT);
    if (!process_->exit_code(patience_left(kPatience))) ADD_FAILURE() << "SIGQUIT does not end the supervisor";
  }
  process_.reset();
  if (!leftovers_expected_) check_nothing_is_left();
  for (const pid_t pid : orphans()) (void)::kill(pid, SIGKILL);
  if (testing::Test::HasFailure()) {
    constexpr std::size_t kTold = 6000;
    const std::string told = errors();
    const std::size_t left_out = told.size() > kTold ? told.size() - kTold : 0;
    GTEST_LOG_(INFO) << "standard error of the supervisor:\n"
                     << warnings_in(told.substr(0, left_out)) << told.substr(left_out);
  }
}

void Supervisor::check_nothing_is_left() const {
  constexpr Duration kKilledProcessesNeed = std::chrono::seconds(5);  // to be gone, on a busy machine
  if (!eventually([] { return orphans().empty(); }, kKilledProcessesNeed)) {
    ADD_FAILURE() << "processes left behind:" << list_of(orphans());
  }
  for (const std::string& socket : directory_->sockets()) ADD_FAILURE() << "socket file left behind: " << socket;
}

std::optional<std::string> Supervisor::ask(std::string_view verb,
                                           const std::map<std::string, std::string>& arguments) const {
  const nlohmann::json request = {{"v", 1}, {"verb", verb}, {"arguments", arguments}};
  const std::optional<std::string> line = exchange_lines(control_, request.dump() + "\n", kPatience);
  if (!line) return std::nullopt;
  const nlohmann::json answer = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer.value("ok", false) || !answer.contains("result")) return std::nullopt;
  return answer["result"].dump(2);
}

StatusView Supervisor::status() const {
  const std::optional<std::string> result = ask("status");
  return result ? view_of(*result) : StatusView{};
}

StatusView Supervisor::wait_until(std::string_view what, const std::function<bool(const StatusView&)>& is_so,
                                  Duration patience) const {
  StatusView last;
  const bool happened = eventually(
      [&] {
        if (!process_->running()) return true;
        const std::optional<std::string> result = ask("status");
        if (!result) return false;
        last = view_of(*result);
        return is_so(last);
      },
      patience_left(patience));
  if (!process_->running()) {
    ADD_FAILURE() << "waiting until " << what << ": the supervisor has ended with " << wait_for_exit() << "\n"
                  << errors();
  } else if (!happened) {
    ADD_FAILURE() << "waited in vain until " << what << "; the last status was\n" << last.json << "\n" << errors();
  }
  return last;
}

StatusView Supervisor::wait_until_serving() const {
  return wait_until("every slot serves", [](const StatusView& status) { return status.all_serving(); });
}

StatusView Supervisor::wait_until_settled() const {
  return wait_until("every connection is accounted for and none waits",
                    [](const StatusView& status) { return status.waiting == 0 && status.balanced(); });
}

void Supervisor::wait_until_told(std::string_view text, Duration patience) const {
  if (!eventually([&] { return errors().find(text) != std::string::npos; }, patience_left(patience))) {
    ADD_FAILURE() << "the supervisor never said '" << text << "', but\n" << errors();
  }
}

void Supervisor::wait_until_nobody_asks() const {
  // The kernel lists accepted connections under the path of their listener; one line is the listener itself.
  const auto sockets = [this] {
    const std::string table = text_of("/proc/net/unix");
    const std::string path = directory_->path().string() + "/";
    std::size_t count = 0;
    for (std::size_t at = table.find(path); at != std::string::npos; at = table.find(path, at + 1)) ++count;
    return count;
  };
  const std::size_t listeners = directory_->sockets().size();
  if (!eventually([&] { return sockets() <= listeners; }, patience_left(kPatience))) {
    ADD_FAILURE() << "the supervisor keeps connections of control clients that are gone";
  }
}

std::string Supervisor::address(std::size_t listener) const {
  StatusView view;
  (void)eventually([&] { return !process_->running() || (view = status()).listeners.size() > listener; },
                   patience_left(kPatience));
  if (view.listeners.size() <= listener) {
    ADD_FAILURE() << "no listener " << listener << "\n" << errors();
    return "127.0.0.1:1";
  }
  return view.listeners[listener].address;
}

Endpoint Supervisor::target(std::size_t listener) const { return endpoint(address(listener)); }

int Supervisor::route(const std::string& address) const { return route_member(address, "slot"); }

int Supervisor::bucket(const std::string& address) const { return route_member(address, "bucket"); }

Ran Supervisor::tell(std::string_view verb, const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {holdfast_program(), std::string(verb), "--control", control_};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(std::move(command));
}

int Supervisor::wait_for_exit(Duration patience) const {
  const std::optional<int> code = process_->exit_code(patience_left(patience));
  if (!code) ADD_FAILURE() << "the supervisor goes on and on\n" << status().json << "\n" << errors();
  return code.value_or(-1);
}

void Supervisor::kill_hard() {
  leftovers_expected_ = true;
  process_->signal(SIGKILL);
  (void)wait_for_exit();
}

int Supervisor::route_member(const std::string& address, const char* key) const {
  const Ran ran = tell("route", {address, "--json"});
  const nlohmann::json answer = nlohmann::json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
  if (ran.exit_code != 0 || !answer.is_object() || !answer.contains(key) || !answer[key].is_number()) {
    ADD_FAILURE() << "route " << address << " ended with " << ran.exit_code << ": " << ran.output << ran.errors;
    return -1;
  }
  return answer[key].get<int>();
}

std::string Supervisor::in_directory(std::string text) const {
  constexpr std::string_view kPlaceholder = "{dir}";
  for (std::size_t at = text.find(kPlaceholder); at != std::string::npos; at = text.find(kPlaceholder, at)) {
    text.replace(at, kPlaceholder.size(), directory_->path().string());
  }
  return text;
}

}  // namespace holdfast::test
