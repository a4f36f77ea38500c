#include "bus/redis_connection.h"

#include <hiredis/hiredis.h>

#include <array>
#include <utility>

#include "sys/sockets.h"
#include "sys/stream.h"

namespace holdfast {

namespace {

// Of one answer: what a reader of the stream asks for at once has less.
constexpr std::size_t kMaxAnswer = std::size_t{64} << 20;
constexpr std::string_view kGreeting = "holdfast";

std::string error_in(const redisReply& reply) { return "it said: " + std::string(reply.str, reply.len); }

}  // namespace

void RedisConnection::FreeReader::operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }

RedisConnection::RedisConnection(Loop& loop, const RedisUrl& url, const std::string& address, Hooks hooks)
    : loop_(loop), url_(url), hooks_(std::move(hooks)), reader_(redisReaderCreate()) {
  const Outcome begun = begin(address);
  if (begun) {
    greet();
    return;
  }
  lost_ = true;
  loop_.defer([lost = hooks_.on_lost, why = begun.error().message()] { lost(why); });
}

RedisConnection::~RedisConnection() = default;

Outcome RedisConnection::begin(const std::string& address) {
  const auto release = [](redisContext* context) { redisFree(context); };
  const std::unique_ptr<redisContext, decltype(release)> context(
      url_.path.empty() ? redisConnectNonBlock(address.c_str(), static_cast<int>(url_.port))
                        : redisConnectUnixNonBlock(url_.path.c_str()));
  if (!context || !reader_) return Error{{}, "out of memory"};
  if (context->err != 0) return Error{{}, context->errstr};
  Result<UniqueFd> copy = duplicate(BorrowedFd(context->fd));  // hiredis closes its own
  if (!copy) return std::move(copy).error();
  socket_ = *std::move(copy);
  if (url_.path.empty()) set_no_delay(socket_);
  watcher_.emplace(loop_, socket_, [this](FdWatcher::Ready ready) { on_ready(ready); });
  return Done{};
}

// Written as soon as the connection is made; whoever must authenticate hears of it at ECHO. PING will not do, because a Redis that cannot
// write to its disk refuses it.
void RedisConnection::greet() {
  if (!url_.password.empty()) {
    if (url_.user.empty()) {
      command({"AUTH", url_.password});
    } else {
      command({"AUTH", url_.user, url_.password});
    }
  }
  if (url_.database != 0) command({"SELECT", std::to_string(url_.database)});
  const std::array<std::string_view, 2> words = {"ECHO", kGreeting};
  ask(words, [this](const redisReply& answer) {
    if (answer.type == REDIS_REPLY_ERROR) return lose(error_in(answer));
    const bool is_echo = answer.type == REDIS_REPLY_STRING && std::string_view(answer.str, answer.len) == kGreeting;
    if (!is_echo) return lose("it does not answer as Redis does");
    hooks_.on_ready();
  });
}

// ---- what is said ----

void RedisConnection::command(std::initializer_list<std::string_view> words, Then then) {
  ask({words.begin(), words.size()}, [this, then = std::move(then)](const redisReply& answer) {
    if (answer.type == REDIS_REPLY_ERROR) return lose(error_in(answer));
    if (then) then();
  });
}

void RedisConnection::ask(std::span<const std::string_view> words, OnAnswer on_answer) {
  if (lost_) return;
  asked_.push_back(std::move(on_answer));
  write(words);
}

void RedisConnection::subscribe(std::string_view channel) {
  if (lost_) return;
  hears_ = true;
  const std::array<std::string_view, 2> words = {"SUBSCRIBE", channel};
  write(words);
}

void RedisConnection::write(std::span<const std::string_view> words) {
  unsent_ += "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string_view word : words) {
    unsent_ += "$" + std::to_string(word.size()) + "\r\n";
    unsent_.append(word).append("\r\n");
  }
  watcher_->watch(FdWatcher::Interest::Both);
}

void RedisConnection::flush() {
  const Result<std::size_t> sent = send_some(socket_, unsent_);
  if (!sent) return lose(sent.error().message());
  unsent_.erase(0, *sent);  // what has gone is not kept until there is nothing left: in a flood there always is
  if (!unsent_.empty()) return;
  watcher_->watch(FdWatcher::Interest::Readable);
}

// ---- what is heard ----

void RedisConnection::on_ready(FdWatcher::Ready ready) {
  if (ready.readable) read();
  if (ready.writable && !lost_) flush();
}

// One piece a turn, so that nobody waits behind a long answer.
void RedisConnection::read() {
  std::array<char, std::size_t{64} * 1024> piece;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const Result<StreamRead> got = read_some(socket_, piece);
  if (!got) return lose(got.error().message());
  if (got->state == StreamRead::State::End) return lose("the connection was closed");
  if (got->state == StreamRead::State::WouldBlock) return;
  unfinished_ += got->length;
  if (unfinished_ > kMaxAnswer) return lose("its answer is too long");
  if (redisReaderFeed(reader_.get(), piece.data(), got->length) == REDIS_OK) take_answers();
  if (reader_->err != 0) lose(reader_->errstr);
}

void RedisConnection::take_answers() {
  void* found = nullptr;
  while (!lost_ && redisReaderGetReply(reader_.get(), &found) == REDIS_OK && found != nullptr) {
    const auto release = [](redisReply* reply) { freeReplyObject(reply); };
    const std::unique_ptr<redisReply, decltype(release)> reply(static_cast<redisReply*>(found));
    unfinished_ = 0;
    take(*reply);
  }
}

void RedisConnection::take(const redisReply& reply) {
  if (hears_) {
    if (reply.type == REDIS_REPLY_ERROR) return lose(error_in(reply));
    return on_heard(reply);
  }
  if (asked_.empty())
    return lose(reply.type == REDIS_REPLY_ERROR ? error_in(reply) : "it answers what nobody has asked");
  const OnAnswer on_answer = std::move(asked_.front());
  asked_.pop_front();
  on_answer(reply);
}

void RedisConnection::on_heard(const redisReply& reply) const {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) return;
  const redisReply& kind = *reply.element[0];
  const redisReply& content = *reply.element[2];
  const bool is_message = kind.type == REDIS_REPLY_STRING && std::string_view(kind.str, kind.len) == "message";
  if (is_message && content.type == REDIS_REPLY_STRING) hooks_.on_message({content.str, content.len});
}

void RedisConnection::lose(const std::string& why) {
  if (std::exchange(lost_, true)) return;
  watcher_->watch(FdWatcher::Interest::None);
  hooks_.on_lost(why);
}

}  // namespace holdfast
