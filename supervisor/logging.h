#pragma once

#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "core/result.h"
#include "loop/loop.h"
#include "sys/log_file.h"
#include "worker/output_sink.h"

namespace holdfast {

// Where lines go: the log and the workers' standard error to our standard error, the workers' standard output to ours; or
// all of it to one file.
// Neither ever makes the supervisor wait. While it lives, spdlog's default logger writes here; before and after,
// straight to standard error.
class Logging {
 public:
  Logging(Loop& loop, LogLevel level);
  ~Logging();  // writes what waits, for a moment
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

  void set_level(LogLevel level);
  // From now on everything goes to this file in place of both streams.
  [[nodiscard]] Outcome write_to(const std::string& path);
  // Opens the file anew, after somebody has renamed it; says so, or that it goes on with the old one and why.
  void reopen();
  // Writes what waits, for a moment: this program is about to become another one.
  void flush();
  [[nodiscard]] OutputSink& output() { return file_sink_ ? *file_sink_ : output_; }
  [[nodiscard]] OutputSink& error() { return file_sink_ ? *file_sink_ : error_; }

 private:
  Loop& loop_;
  OutputSink output_;
  OutputSink error_;
  std::optional<LogFile> file_;
  std::unique_ptr<OutputSink> file_sink_;  // to file_
};

}  // namespace holdfast
