#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/redis_url.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/unique_fd.h"

struct redisAsyncContext;
struct redisReply;

namespace holdfast {

// One connection to Redis (hiredis, on our loop). It connects, says who we are, chooses the database, and then takes commands.
// It ends once: whatever goes wrong is told by `on_lost`, and then there is another one to be made. Nothing here waits.
class RedisConnection {
 public:
  struct Hooks {
    std::function<void()> on_ready;
    std::function<void(const std::string& why)> on_lost;
    std::function<void(std::string_view bytes)> on_message;  // of the channel that is subscribed to
  };
  // `address`: numeric, for the host of the URL.
  RedisConnection(Loop& loop, const RedisUrl& url, const std::string& address, Hooks hooks);
  ~RedisConnection();  // not from inside a hook (Loop::defer)
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // An answer that is an error is the end of the connection: none of ours is refused in the course of things.
  void command(std::initializer_list<std::string_view> words);
  // Somebody wants to see the answer, also one that is an error; it is borrowed. None comes once the connection is lost.
  using OnAnswer = std::function<void(const redisReply& answer)>;
  void ask(std::span<const std::string_view> words, OnAnswer on_answer);
  void subscribe(std::string_view channel);

  // Bytes of commands that have had no answer yet.
  [[nodiscard]] std::size_t unanswered() const { return unanswered_; }

 private:
  struct Adapter;
  [[nodiscard]] Outcome begin(const std::string& address);
  void on_connected(int status);
  void greet();
  void on_answer(const redisReply* reply);
  void on_heard(const redisReply* reply);
  void lose(const std::string& why);
  void watch();

  Loop& loop_;
  RedisUrl url_;
  Hooks hooks_;
  redisAsyncContext* context_ = nullptr;  // hiredis frees it when the connection ends
  bool wants_read_ = false;
  bool wants_write_ = false;
  bool lost_ = false;
  unsigned greetings_ = 0;  // answers that are due before we are ready
  struct Asked {
    std::size_t size;
    OnAnswer on_answer;
  };
  std::deque<Asked> asked_ = {};  // what has had no answer yet
  std::size_t unanswered_ = 0;    // bytes of it
  UniqueFd copy_;                 // hiredis closes its descriptor while we may be watching
  std::optional<FdWatcher> watcher_;
};

}  // namespace holdfast
