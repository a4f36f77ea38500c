#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/line_splitter.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/fd_table.h"
#include "sys/stream.h"
#include "sys/unique_fd.h"
#include "wire/saved_state.h"

namespace holdfast {

enum class OutputStream : std::uint8_t { Standard, Error };

// What one worker writes to its standard output and standard error: read from a pipe each, cut into lines, each line
// given to the sink behind "[POOL/SLOT PID] ". The last lines are kept for the report of a crash.
//
//   create -> the worker is spawned with standard_output() and standard_error() -> on_started -> ... -> on_ended
//
// A worker never waits for us as long as its lines fit the pipes (256 KiB where the user's limit permits), and it
// cannot keep us from anything else: one turn of the loop reads at most 64 KiB from each pipe, and holds at most one
// unfinished line.
class OutputCapture {
 public:
  // `line` ends with a newline and is good during the call only.
  using Sink = std::function<void(OutputStream stream, std::string_view line)>;

  [[nodiscard]] static Result<std::unique_ptr<OutputCapture>> create(Loop& loop, const std::string& pool, SlotId slot,
                                                                     Sink sink);
  // Goes on where another one has stopped: that of the process `pid`, which runs.
  [[nodiscard]] static std::unique_ptr<OutputCapture> adopt(Loop& loop, const std::string& pool, SlotId slot, pid_t pid,
                                                            const SavedOutput& saved, FdTable& fds, Sink sink);
  [[nodiscard]] SavedOutput save(FdList& fds) const;
  OutputCapture(const OutputCapture&) = delete;
  OutputCapture& operator=(const OutputCapture&) = delete;

  // The worker's ends. They are closed by `on_started`.
  [[nodiscard]] BorrowedFd standard_output() const { return output_.pipe.writer; }
  [[nodiscard]] BorrowedFd standard_error() const { return error_.pipe.writer; }

  void on_started(pid_t pid);
  // Reads what the worker has left and then stops for good. It never waits: what was written before the end is in the
  // pipes, and that is at most their capacity, however much a process that the worker has left behind goes on writing.
  // Not from inside the sink.
  void on_ended();

  // The last lines of both streams in the order in which they were read, without prefix and newline, cut to 1 KiB each.
  [[nodiscard]] std::vector<std::string> last_lines() const;

 private:
  struct Stream {
    Stream(OutputCapture& capture, Loop& loop, OutputStream which, OutputPipe pipe);
    OutputStream which;
    OutputPipe pipe;
    LineSplitter splitter;
    std::unique_ptr<FdWatcher> watcher;  // none once the stream is drained: it must go before its descriptor
  };

  OutputCapture(Loop& loop, const std::string& pool, SlotId slot, Sink sink, OutputPipe output, OutputPipe error);
  // Reads once. Answers how many bytes came: 0 when there are none now, or never again.
  std::size_t read_from(Stream& stream);
  void drain(Stream& stream);
  void remember(std::string_view line);
  void on_line(OutputStream stream, std::string_view line);

  static constexpr std::size_t kLastLines = 20;
  Sink sink_;
  std::string line_;  // the prefix, and the line that is being given
  std::size_t prefix_length_ = 0;
  std::array<std::string, kLastLines> last_;  // a ring
  std::size_t lines_ = 0;                     // ever seen
  Stream output_;
  Stream error_;
};

}  // namespace holdfast
