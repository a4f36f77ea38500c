#include "worker/output_capture.h"

#include <algorithm>
#include <utility>

namespace holdfast {

namespace {

// A burst of a worker while we are busy. The kernel gives a user 256 pipes of this size (pipe-user-pages-soft); later ones stay small.
constexpr std::size_t kPipeCapacity = std::size_t{256} * 1024;
constexpr std::size_t kReadAtOnce = std::size_t{64} * 1024;  // of one stream in one turn of the loop
constexpr std::size_t kMaxLine = std::size_t{8} * 1024;
constexpr std::size_t kMaxLastLine = 1024;

}  // namespace

Result<std::unique_ptr<OutputCapture>> OutputCapture::create(Loop& loop, const std::string& pool, SlotId slot,
                                                             Sink sink) {
  Result<OutputPipe> output = make_output_pipe(kPipeCapacity);
  if (!output) return std::move(output).error();
  Result<OutputPipe> error = make_output_pipe(kPipeCapacity);
  if (!error) return std::move(error).error();
  return std::unique_ptr<OutputCapture>(
      new OutputCapture(loop, pool, slot, std::move(sink), *std::move(output), *std::move(error)));
}

std::unique_ptr<OutputCapture> OutputCapture::adopt(Loop& loop, const std::string& pool, SlotId slot, pid_t pid,
                                                    const SavedOutput& saved, FdTable& fds, Sink sink) {
  std::unique_ptr<OutputCapture> capture(new OutputCapture(loop, pool, slot, std::move(sink),
                                                           OutputPipe{fds.take_if_there(saved.output), {}},
                                                           OutputPipe{fds.take_if_there(saved.error), {}}));
  capture->output_.splitter.set_begun(saved.begun_output);
  capture->error_.splitter.set_begun(saved.begun_error);
  for (const std::string& line : saved.last_lines) capture->remember(line);
  capture->on_started(pid);
  return capture;
}

SavedOutput OutputCapture::save(FdList& fds) const {
  return {.output = fds.add("output", output_.pipe.reader),
          .error = fds.add("output", error_.pipe.reader),
          .begun_output = output_.splitter.begun(),
          .begun_error = error_.splitter.begun(),
          .last_lines = last_lines()};
}

OutputCapture::Stream::Stream(OutputCapture& capture, Loop& loop, OutputStream stream, OutputPipe both_ends)
    : which(stream),
      pipe(std::move(both_ends)),
      splitter(kMaxLine),
      watcher(pipe.reader
                  ? std::make_unique<FdWatcher>(loop, pipe.reader,
                                                [this, &capture](FdWatcher::Ready) { (void)capture.read_from(*this); })
                  : nullptr) {}

OutputCapture::OutputCapture(Loop& loop, const std::string& pool, SlotId slot, Sink sink, OutputPipe output,
                             OutputPipe error)
    : sink_(std::move(sink)),
      line_("[" + pool + "/" + std::to_string(slot.value) + " "),
      output_(*this, loop, OutputStream::Standard, std::move(output)),
      error_(*this, loop, OutputStream::Error, std::move(error)) {}

void OutputCapture::on_started(pid_t pid) {
  line_ += std::to_string(pid) + "] ";
  prefix_length_ = line_.size();
  for (Stream* const stream : {&output_, &error_}) {
    stream->pipe.writer.reset();  // else the worker's end would never be seen
    if (stream->watcher) stream->watcher->watch(FdWatcher::Interest::Readable);
  }
}

void OutputCapture::on_ended() {
  drain(output_);
  drain(error_);
}

std::vector<std::string> OutputCapture::last_lines() const {
  std::vector<std::string> lines;
  for (std::size_t i = lines_ - std::min(lines_, kLastLines); i < lines_; ++i) lines.push_back(last_[i % kLastLines]);
  return lines;
}

std::size_t OutputCapture::read_from(Stream& stream) {
  std::array<char, kReadAtOnce> buffer;
  const Result<StreamRead> read = read_some(stream.pipe.reader, buffer);
  if (!read || read->state == StreamRead::State::End) {
    // Every writer has closed it, which a worker may do long before it ends. Watched further, it would be reported for
    // ever.
    stream.watcher->watch(FdWatcher::Interest::None);
    return 0;
  }
  stream.splitter.push(std::string_view(buffer.data(), read->length),
                       [&](std::string_view line) { on_line(stream.which, line); });
  return read->length;
}

void OutputCapture::drain(Stream& stream) {
  if (!stream.pipe.reader) return;
  std::size_t left = pipe_capacity(stream.pipe.reader);
  while (left > 0) {
    const std::size_t length = read_from(stream);
    if (length == 0) break;
    left -= std::min(left, length);
  }
  stream.splitter.finish([&](std::string_view line) { on_line(stream.which, line); });
  stream.watcher.reset();
  stream.pipe.reader.reset();
}

void OutputCapture::remember(std::string_view line) {
  last_[lines_ % kLastLines].assign(line.substr(0, kMaxLastLine));
  ++lines_;
}

void OutputCapture::on_line(OutputStream stream, std::string_view line) {
  remember(line);
  line_.resize(prefix_length_);
  line_.append(line).push_back('\n');
  sink_(stream, line_);
}

}  // namespace holdfast
