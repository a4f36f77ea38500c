#pragma once

#include <cstddef>
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

struct redisReader;
struct redisReply;

namespace holdfast {

// One connection to Redis on our loop. It connects, says who we are, chooses the database, and then takes commands. hiredis
// connects and reads the answers; its own asynchronous interface is not used, because it ends the process (assert) where a server says
// what nobody has asked for.
//
// It ends once: whatever goes wrong is told by `on_lost`, and then there is another one to be made. Nothing here waits.
class RedisConnection {
 public:
  struct Hooks {
    std::function<void()> on_ready;
    std::function<void(const std::string& why)> on_lost;
    std::function<void(std::string_view bytes)> on_message;  // of the channels that are subscribed to
  };
  // `address`: numeric, for the host of the URL.
  RedisConnection(Loop& loop, const RedisUrl& url, const std::string& address, Hooks hooks);
  ~RedisConnection();  // not from inside a hook (Loop::defer)
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // An answer that is an error is the end of the connection: none of ours is refused in the course of things.
  using Then = std::function<void()>;
  void command(std::initializer_list<std::string_view> words, Then then = {});
  // Somebody wants to see the answer, also one that is an error; it is borrowed. None comes once the connection is lost.
  using OnAnswer = std::function<void(const redisReply& answer)>;
  void ask(std::span<const std::string_view> words, OnAnswer on_answer);
  // From here on it hears, and takes no more commands but this one. Once it is ready.
  void subscribe(std::string_view channel);

  // Whether all that was asked has been answered.
  [[nodiscard]] bool is_idle() const { return asked_.empty(); }

 private:
  [[nodiscard]] Outcome begin(const std::string& address);
  void greet();
  void on_ready(FdWatcher::Ready ready);
  void read();
  void take_answers();
  void take(const redisReply& reply);
  void on_heard(const redisReply& reply) const;
  void write(std::span<const std::string_view> words);
  void flush();
  void lose(const std::string& why);

  struct FreeReader {
    void operator()(redisReader* reader) const noexcept;
  };

  Loop& loop_;
  RedisUrl url_;
  Hooks hooks_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  std::string unsent_ = {};
  std::size_t unfinished_ = 0;  // bytes of an answer that has not come as a whole yet
  bool hears_ = false;
  bool lost_ = false;
  std::deque<OnAnswer> asked_ = {};  // what has had no answer yet
  UniqueFd socket_;
  std::optional<FdWatcher> watcher_;
};

}  // namespace holdfast
