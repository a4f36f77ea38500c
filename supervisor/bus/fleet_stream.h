#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "bus/redis_connection.h"
#include "core/stream_backlog.h"

namespace holdfast {

// Messages that must survive a gap, through a stream of Redis: what is published stays with us until Redis has said that it has it, and
// what others have published is read from where we were, however long we were away, as far as the stream reaches back.
//
// The stream is one for all of its topics, so what a machine has published comes in its order. Its connections are another's: this is
// told when they are there, and when they are lost.
class FleetStream {
 public:
  struct Hooks {
    std::function<void(std::string_view bytes)> on_message;
    // What was published before we were there. It comes first, and once.
    std::function<void(std::string_view bytes)> on_history;
  };
  // `length`: about so many messages are kept by Redis.
  FleetStream(unsigned length, Hooks hooks);

  // Answers how many older ones had to go for it, which nobody will get.
  [[nodiscard]] std::size_t publish(std::uint64_t number, std::string bytes);
  // `speaks` takes commands; `reads` is for reading alone, because it waits for what comes.
  void on_connected(RedisConnection& speaks, RedisConnection& reads);
  void on_lost();
  // What Redis has refused is tried again.
  void on_beat();

  [[nodiscard]] std::size_t waiting() const { return backlog_.messages().size(); }
  // What Redis has said last against keeping them; empty: it keeps them.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

  // For the program that goes on where we stop.
  [[nodiscard]] const std::deque<StreamBacklog::Message>& backlog() const { return backlog_.messages(); }
  [[nodiscard]] const std::string& position() const { return position_; }
  void adopt(std::string position) { position_ = std::move(position); }

 private:
  void send();
  void send(const StreamBacklog::Message& message);
  void on_kept(std::uint64_t number, const redisReply& answer);
  void ask_for_history();
  void read();
  void on_read(const redisReply& answer);

  std::string length_;
  Hooks hooks_;
  StreamBacklog backlog_;
  RedisConnection* speaks_ = nullptr;  // while they are connected
  RedisConnection* reads_ = nullptr;
  std::uint64_t sent_ = 0;  // the last one that was, on this connection
  std::size_t unanswered_ = 0;
  bool is_refused_ = false;
  std::string trouble_;
  std::string position_;  // the last entry that was read; empty: we have read nothing yet
};

}  // namespace holdfast
