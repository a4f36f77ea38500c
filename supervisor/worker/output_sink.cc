#include "worker/output_sink.h"

#include <algorithm>
#include <chrono>

namespace holdfast {

namespace {

constexpr std::size_t kMaxWaiting = std::size_t{1024} * 1024;
constexpr std::size_t kResumeBelow = kMaxWaiting / 2;
constexpr std::size_t kWriteAtOnce = std::size_t{64} * 1024;     // bytes of one system call
constexpr std::size_t kWriteEachTurn = std::size_t{256} * 1024;  // bytes of one turn of the loop
constexpr std::size_t kKeepCapacity = std::size_t{64} * 1024;    // memory that an empty queue may hold

}  // namespace

OutputSink::OutputSink(Loop& loop, BorrowedFd inherited)
    : loop_(loop), file_(inherited), alive_(std::make_shared<OutputSink*>(this)) {
  if (file_.room()) {
    watcher_ = std::make_unique<FdWatcher>(loop, file_.room(), [this](FdWatcher::Ready) { write_some(); });
  }
}

OutputSink::~OutputSink() = default;

void OutputSink::write(std::string_view line) {
  if (state_ == State::Taking && waiting() + line.size() > kMaxWaiting) state_ = State::Full;
  if (state_ != State::Taking) {
    ++dropped_;
    ++gap_;
    return;
  }
  tell_of_the_gap();
  queue_.append(line);
  if (!is_due_) write_later();
}

void OutputSink::finish(Duration patience) {
  using std::chrono::steady_clock;
  const TimePoint end = steady_clock::now() + patience;
  if (state_ != State::Closed) tell_of_the_gap();
  write_some();
  while (waiting() > 0 && steady_clock::now() < end) {
    file_.wait_for_room(end - steady_clock::now());
    write_some();
  }
}

void OutputSink::write_some() {
  is_due_ = false;
  std::size_t budget = kWriteEachTurn;
  while (budget > 0) {
    const std::size_t count = write_once(std::min(budget, kWriteAtOnce));
    if (count == 0) break;
    budget -= count;
  }
  if (state_ == State::Full && waiting() <= kResumeBelow) {
    state_ = State::Taking;
    tell_of_the_gap();
  }
  compact();
  await_room();
}

std::size_t OutputSink::write_once(std::size_t at_most) {
  if (waiting() == 0) return 0;
  const Result<std::size_t> count = file_.write_some(std::string_view(queue_).substr(written_, at_most));
  if (!count) {
    on_refused(count.error());
    return 0;
  }
  written_ += *count;
  return *count;
}

void OutputSink::on_refused(const Error& error) {
  // A full disk may have room again for the next line; a reader that has gone does not come back.
  if (error.code == std::errc::broken_pipe || error.code == std::errc::bad_file_descriptor) state_ = State::Closed;
  drop_waiting();
}

void OutputSink::drop_waiting() {
  const auto lines = std::count(queue_.begin() + static_cast<std::ptrdiff_t>(written_), queue_.end(), '\n');
  dropped_ += static_cast<std::uint64_t>(lines);
  gap_ += static_cast<std::uint64_t>(lines);
  written_ = queue_.size();
}

void OutputSink::tell_of_the_gap() {
  if (gap_ == 0) return;
  queue_ += "[holdfast] " + std::to_string(gap_) + (gap_ == 1 ? " line" : " lines") +
            " of output dropped here: this output does not take them fast enough\n";
  gap_ = 0;
}

void OutputSink::compact() {
  if (waiting() == 0) {
    queue_.clear();
    written_ = 0;
    if (queue_.capacity() > kKeepCapacity) queue_.shrink_to_fit();
  } else if (written_ > kMaxWaiting / 2) {
    queue_.erase(0, written_);
    written_ = 0;
  }
}

void OutputSink::await_room() {
  if (watcher_) {
    is_due_ = waiting() > 0;
    watcher_->watch(is_due_ ? FdWatcher::Interest::Readable : FdWatcher::Interest::None);
  } else if (waiting() > 0 && file_.never_waits()) {
    write_later();
  } else if (waiting() > 0) {
    drop_waiting();  // there was no descriptor left to watch with: nobody would tell of room
  }
}

void OutputSink::write_later() {
  is_due_ = true;
  loop_.defer([alive = std::weak_ptr(alive_)] {
    if (const auto sink = alive.lock()) (*sink)->write_some();
  });
}

}  // namespace holdfast
