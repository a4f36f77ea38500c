#include "upgrade/upgrade_check.h"

#include <csignal>
#include <optional>
#include <utility>

#include "config/values.h"
#include "sys/environment.h"
#include "sys/next_program.h"

namespace holdfast {

namespace {

constexpr std::size_t kMostSaid = std::size_t{16} * 1024;
constexpr int kStateInChild = 3;

std::string without_newline(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Result<std::unique_ptr<UpgradeCheck>> UpgradeCheck::start(Loop& loop, const std::string& program,
                                                          const std::vector<std::string>& arguments, BorrowedFd state,
                                                          std::function<void(Outcome)> on_done, Duration limit) {
  Result<UniqueFd> output = bounded_memory(kMostSaid);
  if (!output) return std::move(output).error();
  Result<UniqueFd> errors = bounded_memory(kMostSaid);
  if (!errors) return std::move(errors).error();
  SpawnPlan plan;
  plan.command = {program, "check-upgrade", std::to_string(kStateInChild), "--"};
  plan.command.insert(plan.command.end(), arguments.begin(), arguments.end());
  plan.environment = inherited_environment();
  plan.fds = {{state, kStateInChild}};
  plan.standard_output = *output;
  plan.standard_error = *errors;
  plan.death_signal = SIGKILL;
  Result<Child> child = spawn(plan);
  if (!child) return std::move(child).error();
  return std::unique_ptr<UpgradeCheck>(new UpgradeCheck(loop, program, *std::move(child), *std::move(output),
                                                        *std::move(errors), std::move(on_done), limit));
}

UpgradeCheck::UpgradeCheck(Loop& loop, std::string program, Child child, UniqueFd output, UniqueFd errors,
                           std::function<void(Outcome)> on_done, Duration limit)
    : program_(std::move(program)),
      child_(std::move(child)),
      output_(std::move(output)),
      errors_(std::move(errors)),
      on_done_(std::move(on_done)),
      watcher_(loop, child_.pidfd, [this](FdWatcher::Ready) { on_ended(); }),
      limit_(limit),
      timer_(loop, [this] { on_late(); }) {
  watcher_.watch(FdWatcher::Interest::Readable);
  timer_.arm(loop.now() + limit_);
}

UpgradeCheck::~UpgradeCheck() {
  if (!is_over_) signal_group(child_.pid, SIGKILL);
}

void UpgradeCheck::on_late() {
  is_late_ = true;
  signal_group(child_.pid, SIGKILL);
}

void UpgradeCheck::on_ended() {
  signal_group(child_.pid, SIGKILL);  // what it may have left behind, before its number is free
  const Result<std::optional<ExitStatus>> status = reap(child_.pidfd);
  if (status && !*status) return;
  watcher_.watch(FdWatcher::Interest::None);
  timer_.disarm();
  is_over_ = true;
  on_done_(verdict(status ? **status : ExitStatus{.is_known = false}));
}

Outcome UpgradeCheck::verdict(const ExitStatus& status) const {
  if (is_late_) {
    return Error{{}, program_ + " check-upgrade has not answered within " + to_text(limit_)};
  }
  const std::string why = without_newline(written_text(errors_));
  if (status != ExitStatus{}) {
    return Error{{}, program_ + " check-upgrade " + to_text(status) + (why.empty() ? ", without a word" : ": " + why)};
  }
  if (written_text(output_).starts_with(kTakesOver)) return Done{};
  return Error{{}, program_ + " is no holdfast that can take over: it did not say so"};
}

}  // namespace holdfast
