#include "worker/health_check.h"

#include <array>
#include <csignal>
#include <utility>
#include <vector>

#include "sys/stream.h"
#include "wire/http_status.h"

namespace holdfast {

namespace {

constexpr std::size_t kReadAtOnce = 1024;

CheckResult judge(const HttpStatus& status, const std::string& what) {
  return {status.code >= 200 && status.code < 400, what + ": " + to_text(status)};
}

}  // namespace

HttpCheck::HttpCheck(Loop& loop, UniqueFd connection, const std::string& target, OnChecked on_checked)
    : connection_(std::move(connection)),
      what_("GET " + target),
      on_checked_(std::move(on_checked)),
      watcher_(loop, connection_, [this](FdWatcher::Ready) { on_readable(); }) {
  // It goes into the empty buffer of a new connection, all of it.
  (void)send_some(connection_, "GET " + target +
                                   " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: holdfast\r\nAccept: */*\r\n"
                                   "Connection: close\r\n\r\n");
  watcher_.watch(FdWatcher::Interest::Readable);
}

void HttpCheck::on_readable() {
  std::array<char, kReadAtOnce> buffer;
  const Result<StreamRead> read = read_some(connection_, buffer);
  if (!read) return conclude({false, what_ + ": " + read.error().message()});
  if (read->state == StreamRead::State::WouldBlock) return;
  if (read->state == StreamRead::State::End) return conclude({false, what_ + ": closed without an answer"});
  answer_.append(buffer.data(), read->length);
  const auto look = look_for_status(answer_);
  if (const auto* status = std::get_if<HttpStatus>(&look)) return conclude(judge(*status, what_));
  if (std::holds_alternative<NoHttpStatus>(look)) conclude({false, what_ + ": the answer is not HTTP"});
}

void HttpCheck::conclude(CheckResult result) {
  watcher_.watch(FdWatcher::Interest::None);
  on_checked_(result);
}

Result<std::unique_ptr<CommandCheck>> CommandCheck::start(Loop& loop, SpawnPlan plan, const std::string& pool,
                                                          SlotId slot, OnChecked on_checked) {
  std::unique_ptr<CommandCheck> check(new CommandCheck(std::move(on_checked)));
  WorkerProcess::Hooks hooks;
  hooks.on_line = [](OutputStream, std::string_view) {};  // its last line is told if it fails
  hooks.on_exit = [check = check.get()](const ExitStatus& status) { check->on_exit(status); };
  Result<std::unique_ptr<WorkerProcess>> process =
      WorkerProcess::start(loop, std::move(plan), pool, slot, std::move(hooks));
  if (!process) return std::move(process).error();
  check->process_ = *std::move(process);
  return check;
}

void CommandCheck::give_up(std::function<void()> on_ended) {
  on_ended_ = std::move(on_ended);
  process_->signal(SIGKILL);
}

void CommandCheck::on_exit(const ExitStatus& status) {
  ended_ = true;
  if (on_ended_) return on_ended_();
  const std::vector<std::string> lines = process_->last_lines();
  const std::string wrote = lines.empty() ? "" : ": " + lines.back();
  on_checked_({status == ExitStatus{}, "the check " + to_text(status) + wrote});
}

}  // namespace holdfast
