#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/ids.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/spawn.h"
#include "sys/unique_fd.h"
#include "worker/worker_process.h"

namespace holdfast {

// What one check of a worker came to. The reason is for people: "GET /healthz: 503 Service Unavailable".
struct CheckResult {
  bool passed = false;
  std::string reason = {};
};
using OnChecked = std::function<void(const CheckResult&)>;

// A request on a connection of ours whose other end the worker has been, or will be, given. 2xx and 3xx pass. It knows no
// time: who has waited long enough destroys it, which closes the connection. `on_checked` is called once, from the loop; it must not
// destroy the check (Loop::defer).
class HttpCheck {
 public:
  HttpCheck(Loop& loop, UniqueFd connection, const std::string& target, OnChecked on_checked);

 private:
  void on_readable();
  void conclude(CheckResult result);

  UniqueFd connection_;
  std::string what_;  // "GET /healthz"
  OnChecked on_checked_;
  std::string answer_;  // its first line, as far as it has come
  FdWatcher watcher_;
};

// A program that is run beside the worker, in a process group of its own: it passes if it ends with code 0. `on_checked` as above,
// unless it was given up before.
class CommandCheck {
 public:
  [[nodiscard]] static Result<std::unique_ptr<CommandCheck>> start(Loop& loop, SpawnPlan plan, const std::string& pool,
                                                                   SlotId slot, OnChecked on_checked);
  // Kills it. From here on nothing is told but its end, by `on_ended`, and it must live until then.
  void give_up(std::function<void()> on_ended);
  [[nodiscard]] bool has_ended() const { return ended_; }

 private:
  explicit CommandCheck(OnChecked on_checked) : on_checked_(std::move(on_checked)) {}
  void on_exit(const ExitStatus& status);

  OnChecked on_checked_;
  std::function<void()> on_ended_;
  std::unique_ptr<WorkerProcess> process_;
  bool ended_ = false;
};

}  // namespace holdfast
