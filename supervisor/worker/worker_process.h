#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/spawn.h"
#include "worker/output_capture.h"

namespace holdfast {

// One worker process from exec to its end: held by its pidfd, its output captured line by line.
class WorkerProcess {
 public:
  struct Hooks {
    OutputCapture::Sink on_line;
    // Called once, from the loop. What it left in its process group has been killed by then, so nobody else reads its
    // inbox.
    std::function<void(const ExitStatus&)> on_exit;
  };
  // `plan` without output descriptors: both are captured. Errors are those of `spawn`. Must not be destroyed inside
  // on_exit (Loop::defer).
  [[nodiscard]] static Result<std::unique_ptr<WorkerProcess>> start(Loop& loop, SpawnPlan plan, const std::string& pool,
                                                                    SlotId slot, Hooks hooks);

  // Goes on with a process that was started by another supervisor, or by this process before it became another program.
  // It may be no child of ours: then nobody learns how it ended.
  [[nodiscard]] static std::unique_ptr<WorkerProcess> adopt(Loop& loop, pid_t pid, UniqueFd pidfd,
                                                            std::unique_ptr<OutputCapture> output, Hooks hooks);
  [[nodiscard]] BorrowedFd pidfd() const { return child_.pidfd; }
  [[nodiscard]] const OutputCapture& output() const { return *output_; }

  [[nodiscard]] pid_t pid() const { return child_.pid; }
  // SIGABRT goes to the process alone (its core is the one that is wanted), everything else to its whole group: a shell
  // that was put around a server does not pass signals on.
  void signal(int signal);
  // Of a worker that is captured: where its calls wait for an answer; none if it was killed before it could exec.
  [[nodiscard]] UniqueFd take_capture() { return std::move(child_.capture); }
  [[nodiscard]] std::vector<std::string> last_lines() const { return output_->last_lines(); }

 private:
  WorkerProcess(Loop& loop, Child child, std::unique_ptr<OutputCapture> output, Hooks hooks);
  void on_end();

  Child child_;
  bool is_child_ = true;
  std::unique_ptr<OutputCapture> output_;
  Hooks hooks_;
  FdWatcher watcher_;
};

}  // namespace holdfast
