#include "logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string_view>

namespace holdfast {

namespace {

constexpr const char* kPattern = "%Y-%m-%d %H:%M:%S.%e %l: %v";
// How long the end of the program may wait for whoever reads our output.
constexpr Duration kPatience = std::chrono::milliseconds(500);

// One thread logs, so the sink needs no lock.
class LineSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit LineSink(OutputSink& lines) : lines_(lines) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    lines_.write(std::string_view(text.data(), text.size()));
  }
  void flush_() override {}

 private:
  OutputSink& lines_;
};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      break;
  }
  return spdlog::level::err;
}

void log_to(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("holdfast", std::move(sink));
  logger->set_pattern(kPattern);
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

Logging::Logging(Loop& loop, LogLevel level)
    : loop_(loop), output_(loop, BorrowedFd(STDOUT_FILENO)), error_(loop, BorrowedFd(STDERR_FILENO)) {
  log_to(std::make_shared<LineSink>(error_), level_of(level));
}

void Logging::set_level(LogLevel level) { spdlog::default_logger()->set_level(level_of(level)); }

Outcome Logging::write_to(const std::string& path) {
  Result<LogFile> file = LogFile::open(path);
  if (!file) return std::move(file).error();
  file_.emplace(*std::move(file));
  file_sink_ = std::make_unique<OutputSink>(loop_, file_->fd());
  log_to(std::make_shared<LineSink>(*file_sink_), spdlog::default_logger()->level());
  return Done{};
}

void Logging::reopen() {
  if (!file_) return spdlog::info("SIGUSR1: there is no log file to open anew (--log-file)");
  if (const Outcome opened = file_->reopen(); !opened) {
    return spdlog::error("{}: the log goes on to the file of before", opened.error().message());
  }
  spdlog::info("opened the log file {} anew", file_->path());
}

Logging::~Logging() {
  log_to(std::make_shared<spdlog::sinks::stderr_sink_st>(), spdlog::default_logger()->level());
  flush();
}

void Logging::flush() {
  output_.finish(kPatience);
  error_.finish(kPatience);
  if (file_sink_) file_sink_->finish(kPatience);
}

}  // namespace holdfast
