#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "loop/fd_watcher.h"
#include "sys/spawn.h"
#include "worker/output_capture.h"

namespace holdfast {

// One worker process from exec to its end: held by its pidfd, its output captured line by line.
class WorkerProcess {
 public:
  struct Hooks {
    std::function<void(std::string_view line)> on_line;  // prefixed, without newline
    // Called once, from the loop. What it left in its process group has been killed by then, so nobody else reads its inbox.
    std::function<void(const ExitStatus&)> on_exit;
  };
  // `plan` without output descriptors: both are captured. `label` is "POOL/SLOT". Errors are those of `spawn`.
  [[nodiscard]] static Result<std::unique_ptr<WorkerProcess>> start(Loop& loop, SpawnPlan plan, const std::string& label, Hooks hooks);

  [[nodiscard]] pid_t pid() const { return child_.pid; }
  // SIGABRT goes to the process alone (its core is the one that is wanted), everything else to its whole group: a shell that was put
  // around a server does not pass signals on.
  void signal(int signal);
  [[nodiscard]] std::vector<std::string> last_lines() const { return output_->last_lines(); }

 private:
  WorkerProcess(Loop& loop, Child child, std::unique_ptr<OutputCapture> output, Hooks hooks);
  void on_pidfd_readable();

  Child child_;
  std::unique_ptr<OutputCapture> output_;
  Hooks hooks_;
  FdWatcher watcher_;
};

}  // namespace holdfast
