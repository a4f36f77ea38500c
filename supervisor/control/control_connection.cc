#include "control/control_connection.h"

#include <array>
#include <optional>

#include "sys/stream.h"

namespace holdfast {

namespace {

constexpr std::size_t kReadAtOnce = std::size_t{16} * 1024;  // bytes of one turn of the loop

}  // namespace

ControlReply::~ControlReply() {
  send(ControlFailure{.error = "the supervisor gave up on this request without an answer", .versions = {}});
}

void ControlReply::send(const ControlResponse& response) {
  if (const std::shared_ptr<ControlConnection> connection = std::exchange(connection_, {}).lock()) {
    connection->answer(response);
  }
}

BorrowedFd ControlReply::connection() const {
  const std::shared_ptr<ControlConnection> connection = connection_.lock();
  return connection ? connection->descriptor() : BorrowedFd(-1);
}

ControlConnection::ControlConnection(Loop& loop, UniqueFd fd, Duration patience, OnRequest on_request, OnEnded on_ended)
    : loop_(loop),
      fd_(std::move(fd)),
      patience_(patience),
      on_request_(std::move(on_request)),
      on_ended_(std::move(on_ended)),
      watcher_(loop, fd_, [this](FdWatcher::Ready ready) { on_ready(ready); }),
      timer_(loop, [this] { end(); }) {}

void ControlConnection::start() {
  watcher_.watch(FdWatcher::Interest::Readable);
  timer_.arm(loop_.now() + patience_);
}

void ControlConnection::answer(const ControlResponse& response) {
  if (!std::holds_alternative<Waiting>(state_)) return;
  state_ = Answering{.text = encode(response)};
  timer_.arm(loop_.now() + patience_);
  write_answer();
}

bool ControlConnection::waits_by_wish() const {
  const auto* const waiting = std::get_if<Waiting>(&state_);
  return waiting != nullptr && waiting->by_wish;
}

void ControlConnection::on_ready(FdWatcher::Ready ready) {
  if (std::holds_alternative<Reading>(state_)) return read_request();
  if (std::holds_alternative<Waiting>(state_)) return look_for_leaving();
  if (std::holds_alternative<Answering>(state_) && ready.writable) write_answer();
}

void ControlConnection::read_request() {
  std::array<char, kReadAtOnce> buffer;
  const Result<StreamRead> read = read_some(fd_, buffer);
  if (!read || read->state == StreamRead::State::End) return end();  // left without asking
  if (read->state == StreamRead::State::WouldBlock) return;

  std::string& line = std::get<Reading>(state_).line;
  const std::string_view bytes(buffer.data(), read->length);
  const std::size_t newline = bytes.find('\n');
  line.append(bytes.substr(0, newline));
  // What is too long is refused by the decoder: it need not be waited for.
  if (newline == std::string_view::npos && line.size() <= kMaxControlRequest) return;
  take_request(std::exchange(line, {}));
}

void ControlConnection::take_request(std::string_view line) {
  state_ = Waiting{};
  timer_.disarm();
  std::variant<ControlRequest, ControlFailure> decoded = decode_request(line);
  if (auto* const failure = std::get_if<ControlFailure>(&decoded)) return answer(*failure);
  auto& request = std::get<ControlRequest>(decoded);
  state_ = Waiting{.by_wish = request.is_set("wait")};
  on_request_(std::move(request), ControlReply(weak_from_this()));
}

// Readable while the answer is awaited: the client has left, or it has only finished its sending, or it sends what
// nobody asked for. In the last two cases the answer is still owed, and nothing more is read: the watcher would report
// it for ever.
void ControlConnection::look_for_leaving() {
  if (peer_is_gone(fd_)) return end();
  watcher_.watch(FdWatcher::Interest::None);
}

void ControlConnection::write_answer() {
  auto& answering = std::get<Answering>(state_);
  const Result<std::size_t> sent = send_some(fd_, std::string_view(answering.text).substr(answering.sent));
  if (!sent) return end();  // left without the answer
  answering.sent += *sent;
  if (answering.sent == answering.text.size()) return end();
  watcher_.watch(FdWatcher::Interest::Writable);
}

void ControlConnection::end() {
  if (std::holds_alternative<Ended>(state_)) return;
  state_ = Ended{};
  watcher_.watch(FdWatcher::Interest::None);
  timer_.disarm();
  on_ended_(*this);
}

}  // namespace holdfast
