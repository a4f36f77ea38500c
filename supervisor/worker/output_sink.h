#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/output_file.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Writes lines to one of our own standard streams without ever making the supervisor wait (sys/output_file.h).
//
// Lines wait in a queue of at most 1 MiB. When it is full, lines are dropped and counted until half of it is free
// again, and then one line says how many: a gap is never silent. When the reader has gone (EPIPE), every further line
// is dropped, and the supervisor goes on serving. Lines of one turn of the loop are written together.
//
// Needs SIGPIPE to be ignored.
class OutputSink {
 public:
  // `inherited` is 1 or 2 and stays open.
  OutputSink(Loop& loop, BorrowedFd inherited);
  ~OutputSink();
  OutputSink(const OutputSink&) = delete;
  OutputSink& operator=(const OutputSink&) = delete;

  void write(std::string_view line);  // with its newline
  // At the end of the program: writes what waits, for at most `patience`. It is the only function here that may wait.
  void finish(Duration patience);

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }  // lines, ever

 private:
  enum class State {
    Taking,
    Full,    // drops lines until half of the queue is free
    Closed,  // drops lines for good: nobody reads
  };

  void write_some();
  // One system call. Answers how many bytes went; 0 when there is no room, or nothing is left.
  std::size_t write_once(std::size_t at_most);
  void on_refused(const Error& error);
  void drop_waiting();
  void tell_of_the_gap();
  void compact();
  void await_room();
  void write_later();
  [[nodiscard]] std::size_t waiting() const { return queue_.size() - written_; }

  Loop& loop_;
  OutputFile file_;
  State state_ = State::Taking;
  std::string queue_;
  std::size_t written_ = 0;  // bytes at the front of the queue that are out already
  std::uint64_t dropped_ = 0;
  std::uint64_t gap_ = 0;  // dropped and not told yet
  bool is_due_ = false;    // somebody will call write_some: deferred work, or the watcher
  std::shared_ptr<OutputSink*> alive_;
  std::unique_ptr<FdWatcher> watcher_;  // of file_.room(), if that is there
};

}  // namespace holdfast
