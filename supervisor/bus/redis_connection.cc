#include "bus/redis_connection.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <utility>

#include "sys/stream.h"

namespace holdfast {

// What hiredis calls; it hands back the pointer that it was given.
struct RedisConnection::Adapter {
  static RedisConnection& of(void* data) { return *static_cast<RedisConnection*>(data); }
  static void add_read(void* data) { set(data, &RedisConnection::wants_read_, true); }
  static void drop_read(void* data) { set(data, &RedisConnection::wants_read_, false); }
  static void add_write(void* data) { set(data, &RedisConnection::wants_write_, true); }
  static void drop_write(void* data) { set(data, &RedisConnection::wants_write_, false); }
  static void clean_up(void* data) {
    of(data).wants_read_ = of(data).wants_write_ = false;
    of(data).watch();
    of(data).context_ = nullptr;
  }
  static void set(void* data, bool RedisConnection::*wish, bool is_wished) {
    of(data).*wish = is_wished;
    of(data).watch();
  }
  static void on_connected(const redisAsyncContext* context, int status) { of(context->data).on_connected(status); }
  static void on_disconnected(const redisAsyncContext* context, int status) {
    of(context->data).lose(status == REDIS_OK ? "the connection was closed" : context->errstr);
  }
  static void on_answer(redisAsyncContext*, void* reply, void* data) {
    if (reply != nullptr) of(data).on_answer(static_cast<const redisReply*>(reply));
  }
  static void on_heard(redisAsyncContext*, void* reply, void* data) {
    if (reply != nullptr) of(data).on_heard(static_cast<const redisReply*>(reply));
  }
};

RedisConnection::RedisConnection(Loop& loop, const RedisUrl& url, const std::string& address, Hooks hooks)
    : loop_(loop), url_(url), hooks_(std::move(hooks)) {
  const Outcome begun = begin(address);
  if (begun) return;
  if (context_ != nullptr) redisAsyncFree(std::exchange(context_, nullptr));
  loop_.defer([lost = hooks_.on_lost, why = begun.error().message()] { lost(why); });
}

Outcome RedisConnection::begin(const std::string& address) {
  context_ = url_.path.empty() ? redisAsyncConnect(address.c_str(), static_cast<int>(url_.port))
                               : redisAsyncConnectUnix(url_.path.c_str());
  if (context_ == nullptr) return Error{{}, "out of memory"};
  if (context_->err != 0) return Error{{}, context_->errstr};
  Result<UniqueFd> copy = duplicate(BorrowedFd(context_->c.fd));
  if (!copy) return std::move(copy).error();
  copy_ = *std::move(copy);
  watcher_.emplace(loop_, copy_, [this](FdWatcher::Ready ready) {
    if (ready.readable && context_ != nullptr) redisAsyncHandleRead(context_);
    if (ready.writable && context_ != nullptr) redisAsyncHandleWrite(context_);
  });
  context_->data = this;
  context_->ev = {
      this, &Adapter::add_read, &Adapter::drop_read, &Adapter::add_write, &Adapter::drop_write, &Adapter::clean_up};
  (void)redisAsyncSetConnectCallback(context_, &Adapter::on_connected);
  (void)redisAsyncSetDisconnectCallback(context_, &Adapter::on_disconnected);
  return Done{};
}

RedisConnection::~RedisConnection() {
  lost_ = true;
  if (context_ != nullptr) redisAsyncFree(context_);
}

void RedisConnection::watch() {
  using enum FdWatcher::Interest;
  if (!watcher_) return;
  watcher_->watch(wants_read_ ? (wants_write_ ? Both : Readable) : wants_write_ ? Writable : None);
}

void RedisConnection::on_connected(int status) {
  if (status != REDIS_OK) return lose(context_->errstr);  // hiredis frees it behind this
  greet();
}

void RedisConnection::greet() {
  greetings_ = (url_.password.empty() ? 0 : 1) + (url_.database == 0 ? 0 : 1) + 1;
  if (!url_.password.empty()) {
    if (url_.user.empty()) {
      command({"AUTH", url_.password});
    } else {
      command({"AUTH", url_.user, url_.password});
    }
  }
  if (url_.database != 0) command({"SELECT", std::to_string(url_.database)});
  command({"PING"});  // whoever must authenticate hears of it now
}

void RedisConnection::command(std::initializer_list<std::string_view> words) {
  if (context_ == nullptr || lost_) return;
  std::vector<const char*> texts;
  std::vector<std::size_t> lengths;
  std::size_t size = 0;
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    lengths.push_back(word.size());
    size += word.size();
  }
  if (redisAsyncCommandArgv(context_, &Adapter::on_answer, this, static_cast<int>(texts.size()), texts.data(),
                            lengths.data()) != REDIS_OK)
    return;
  sizes_.push_back(size);
  unanswered_ += size;
}

void RedisConnection::subscribe(std::string_view channel) {
  if (context_ == nullptr || lost_) return;
  const std::string text = "SUBSCRIBE " + std::string(channel);
  (void)redisAsyncCommand(context_, &Adapter::on_heard, this, text.c_str());
}

void RedisConnection::on_answer(const redisReply* reply) {
  unanswered_ -= sizes_[answered_++];
  if (answered_ == sizes_.size()) {
    sizes_.clear();
    answered_ = 0;
  }
  if (reply->type == REDIS_REPLY_ERROR) return lose("it said: " + std::string(reply->str, reply->len));
  if (greetings_ > 0 && --greetings_ == 0 && !lost_) hooks_.on_ready();
}

void RedisConnection::on_heard(const redisReply* reply) {
  if (reply->type == REDIS_REPLY_ERROR) return lose("it said: " + std::string(reply->str, reply->len));
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) return;
  const redisReply& kind = *reply->element[0];
  const redisReply& content = *reply->element[2];
  const bool is_message = kind.type == REDIS_REPLY_STRING && std::string_view(kind.str, kind.len) == "message";
  if (is_message && content.type == REDIS_REPLY_STRING && !lost_) hooks_.on_message({content.str, content.len});
}

void RedisConnection::lose(const std::string& why) {
  if (!std::exchange(lost_, true)) hooks_.on_lost(why);
}

}  // namespace holdfast
