#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/http_client.h"
#include "support/process.h"
#include "support/status_view.h"
#include "support/temp_directory.h"

namespace holdfast::test {

[[nodiscard]] std::string holdfast_program();
[[nodiscard]] std::string whoami_program();
// A file of the source tree.
[[nodiscard]] std::string source_file(std::string_view path);

// What to run: `holdfast run -l LISTEN... -w WORKERS OPTIONS... -- COMMAND...`.
struct SupervisorPlan {
  std::vector<std::string> listen = {"127.0.0.1:0"};
  unsigned workers = 2;  // 0: left open
  std::vector<std::string> options;
  std::vector<std::string> command = {whoami_program()};
  std::vector<std::string> environment;  // NAME=VALUE, beside ours
  std::optional<rlim_t> open_files;
  std::string terminal;  // its controlling terminal; empty: none
};
// All that the configuration file says, and nothing beside it.
[[nodiscard]] inline SupervisorPlan plan_of_file(const std::string& file) {
  SupervisorPlan plan;
  plan.listen.clear();
  plan.workers = 0;
  plan.options = {"-c", file};
  plan.command.clear();
  return plan;
}

// The real supervisor, in a directory of its own with its control socket, its output in files. When it goes, it is
// ended if it still runs, and whatever is left behind (a process, a socket file) is a failure of the test.
class Supervisor {
 public:
  // "{dir}" in the plan's texts stands for the directory: its own, or `directory`, which outlives it. The control
  // socket is a new path in it, or `control`.
  explicit Supervisor(SupervisorPlan plan = {}, const TempDirectory* directory = nullptr,
                      const std::string& control = "");
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] const std::string& control() const { return control_; }
  [[nodiscard]] const TempDirectory& directory() const { return *directory_; }
  [[nodiscard]] std::string errors() const { return text_of(error_file_); }  // standard error so far
  [[nodiscard]] std::string output() const { return text_of(output_file_); }

  // One question over the control socket: the JSON text of the answer's "result". Nothing if there is no good answer in time.
  [[nodiscard]] std::optional<std::string> ask(std::string_view verb,
                                               const std::map<std::string, std::string>& arguments = {}) const;
  [[nodiscard]] StatusView status() const;
  // Asks for the status until it is as told by `is_so`, and answers with that one. A failure of the test if that does
  // not happen.
  StatusView wait_until(std::string_view what, const std::function<bool(const StatusView&)>& is_so,
                        Duration patience = kPatience) const;
  // ... until every slot serves.
  StatusView wait_until_serving() const;
  // ... until nothing waits and every accepted connection is accounted for.
  StatusView wait_until_settled() const;
  // Waits until the supervisor has closed the connections of all control clients: from then on its descriptors stand still.
  void wait_until_nobody_asks() const;
  // Waits until standard error holds `text`.
  void wait_until_told(std::string_view text, Duration patience = kPatience) const;

  // Where the listener with this index really listens.
  [[nodiscard]] Endpoint target(std::size_t listener = 0) const;
  [[nodiscard]] std::string address(std::size_t listener = 0) const;
  // The slot of an address, as `route` tells.
  [[nodiscard]] int route(const std::string& address) const;
  // The same for its bucket, which tells the hash key.
  [[nodiscard]] int bucket(const std::string& address) const;
  // Runs `holdfast VERB --control ... ARGUMENTS`.
  [[nodiscard]] Ran tell(std::string_view verb, const std::vector<std::string>& arguments = {}) const;

  void signal(int number) const { process_->signal(number); }
  [[nodiscard]] bool running() const { return process_->running(); }
  // Waits for its end: its exit code, or 128 + signal. A failure of the test if it goes on.
  int wait_for_exit(Duration patience = kPatience) const;
  // SIGKILL: what is left behind is then no fault.
  void kill_hard();
  // Socket files and orphans are the test's business.
  void expect_leftovers() { leftovers_expected_ = true; }

 private:
  [[nodiscard]] int route_member(const std::string& address, const char* key) const;
  [[nodiscard]] std::string in_directory(std::string text) const;
  void check_nothing_is_left() const;

  std::optional<TempDirectory> own_directory_;
  const TempDirectory* directory_;
  std::string control_;
  std::string output_file_;
  std::string error_file_;
  std::unique_ptr<Process> process_;
  bool leftovers_expected_ = false;
};

}  // namespace holdfast::test
