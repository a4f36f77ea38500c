#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

  // An answer that is an error is the end of the connection: none of ours is refused in the course of things, but by a server that
  // is out of memory or disk, or read-only.
  void command(std::initializer_list<std::string_view> words);
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
  std::vector<std::size_t> sizes_ = {};
  std::size_t unanswered_ = 0;
  std::size_t answered_ = 0;  // of sizes_
  UniqueFd copy_;             // hiredis closes its descriptor while we may be watching
  std::optional<FdWatcher> watcher_;
};

}  // namespace holdfast
