#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/spawn.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Whether another program could go on where we are: it is run once, as `PROGRAM check-upgrade FD -- ARGUMENTS...`, with
// the state as FD, and must say kTakesOver and end with 0. A program that merely ends with 0 is not meant.
//
// It has a limit of time for that, and what it writes is bounded, so that it may be anything at all. When this goes it is killed.
class UpgradeCheck {
 public:
  // It is a matter of milliseconds: what takes so long hangs, however busy the machine is.
  static constexpr Duration kLimit = std::chrono::seconds(60);

  // `state` is borrowed until this has returned; `arguments` are ours, without the first. `on_done` is called once, from the loop,
  // with the reason if the program is not fit; this must not be destroyed in it. Errors: those of `spawn`.
  [[nodiscard]] static Result<std::unique_ptr<UpgradeCheck>> start(Loop& loop, const std::string& program,
                                                                   const std::vector<std::string>& arguments,
                                                                   BorrowedFd state,
                                                                   std::function<void(Outcome)> on_done,
                                                                   Duration limit = kLimit);
  ~UpgradeCheck();
  UpgradeCheck(const UpgradeCheck&) = delete;
  UpgradeCheck& operator=(const UpgradeCheck&) = delete;

 private:
  UpgradeCheck(Loop& loop, std::string program, Child child, UniqueFd output, UniqueFd errors,
               std::function<void(Outcome)> on_done, Duration limit);
  void on_ended();
  void on_late();
  [[nodiscard]] Outcome verdict(const ExitStatus& status) const;

  std::string program_;
  Child child_;
  UniqueFd output_;
  UniqueFd errors_;
  std::function<void(Outcome)> on_done_;
  bool is_late_ = false;
  bool is_over_ = false;
  FdWatcher watcher_;
  const Duration limit_;
  Timer timer_;
};

// What a program says that can take over; its version follows.
inline constexpr const char* kTakesOver = "holdfast-takes-over ";

}  // namespace holdfast
