#include "worker/worker_process.h"

#include <csignal>
#include <optional>
#include <utility>

namespace holdfast {

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(Loop& loop, SpawnPlan plan, const std::string& pool,
                                                            SlotId slot, Hooks hooks) {
  Result<std::unique_ptr<OutputCapture>> output = OutputCapture::create(loop, pool, slot, hooks.on_line);
  if (!output) return std::move(output).error();
  plan.standard_output = (*output)->standard_output();
  plan.standard_error = (*output)->standard_error();
  Result<Child> child = spawn(plan);
  if (!child) return std::move(child).error();
  (*output)->on_started(child->pid);
  return std::unique_ptr<WorkerProcess>(
      new WorkerProcess(loop, *std::move(child), *std::move(output), std::move(hooks)));
}

std::unique_ptr<WorkerProcess> WorkerProcess::adopt(Loop& loop, pid_t pid, UniqueFd pidfd,
                                                    std::unique_ptr<OutputCapture> output, Hooks hooks) {
  const bool child = is_child(pidfd);
  std::unique_ptr<WorkerProcess> process(
      new WorkerProcess(loop, Child{pid, std::move(pidfd), {}}, std::move(output), std::move(hooks)));
  process->is_child_ = child;
  return process;
}

WorkerProcess::WorkerProcess(Loop& loop, Child child, std::unique_ptr<OutputCapture> output, Hooks hooks)
    : child_(std::move(child)),
      output_(std::move(output)),
      hooks_(std::move(hooks)),
      watcher_(loop, child_.pidfd, [this](FdWatcher::Ready) { on_end(); }) {
  watcher_.watch(FdWatcher::Interest::Readable);
}

void WorkerProcess::signal(int signal) {
  if (signal == SIGABRT) return signal_process(child_.pidfd, signal);
  signal_group(child_.pid, signal);
}

void WorkerProcess::on_end() {
  // Before it is reaped: until then its number cannot name another group.
  signal_group(child_.pid, SIGKILL);
  const Result<std::optional<ExitStatus>> status =
      is_child_ ? reap(child_.pidfd) : std::optional(ExitStatus{.is_known = false});
  if (status && !*status) return;
  watcher_.watch(FdWatcher::Interest::None);
  output_->on_ended();
  // A child that somebody else has reaped is gone all the same.
  hooks_.on_exit(status ? **status : ExitStatus{.is_known = false});
}

}  // namespace holdfast
