#pragma once

#include "config/config.h"
#include "loop/loop.h"
#include "worker/output_sink.h"

namespace holdfast {

// Where lines go: the log and the workers' standard error to our standard error, the workers' standard output to ours.
// Neither ever makes the supervisor wait. While it lives, spdlog's default logger writes here; before and after,
// straight to standard error.
class Logging {
 public:
  Logging(Loop& loop, LogLevel level);
  ~Logging();  // writes what waits, for a moment
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

  void set_level(LogLevel level);
  // Writes what waits, for a moment: this program is about to become another one.
  void flush();
  [[nodiscard]] OutputSink& output() { return output_; }
  [[nodiscard]] OutputSink& error() { return error_; }

 private:
  OutputSink output_;
  OutputSink error_;
};

}  // namespace holdfast
