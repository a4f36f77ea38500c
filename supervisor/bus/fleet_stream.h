#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bus/redis_connection.h"
#include "core/stream_backlog.h"

namespace holdfast {

// Messages that must survive a gap, through a stream of Redis: what is published stays with us until Redis has said that it has it, and
// what others have published is read from where we were, however long we were away, as far as the stream reaches back.
//
// The stream is one for all of its topics, so what a machine has published comes in its order. Little of it is on its way at any time, in
// one transaction: what Redis refuses is refused as a whole, and comes again before anything newer. Its connections are another's: this
// is told when they are there, and when they are lost.
class FleetStream {
 public:
  // As many messages of the past are read at the start.
  static constexpr std::size_t kHistory = 1000;
  struct Hooks {
    std::function<void(std::string_view bytes)> on_message;
    // What was published before we were there, at most kHistory. It comes first, the oldest in front, and once.
    std::function<void(std::string_view bytes)> on_history;
    std::function<void()> on_history_end;
    std::function<void()> on_kept;  // some of what waited
  };
  // `key`: of the stream. `length`: about so many messages are kept by Redis.
  FleetStream(std::string key, unsigned length, Hooks hooks);

  // Answers how many older ones had to go for it, which nobody will get.
  [[nodiscard]] std::size_t publish(std::uint64_t number, std::string bytes);
  // `speaks` takes commands; `reads` is for reading alone, because it waits for what comes.
  void on_connected(RedisConnection& speaks, RedisConnection& reads);
  void on_lost();
  // What Redis has refused is tried again.
  void on_beat();

  [[nodiscard]] std::size_t waiting() const { return backlog_.size(); }
  // What Redis has said last against keeping them, or against showing them; empty: it does both.
  [[nodiscard]] std::string trouble() const;

  // For the program that goes on where we stop.
  [[nodiscard]] const StreamBacklog& backlog() const { return backlog_; }
  [[nodiscard]] const std::string& position() const { return position_; }
  enum class Past { Known, Wanted };
  // `position`: empty where nothing was read yet; then the past is wanted in any case. Before anything is connected.
  void adopt(std::string position, Past past);

 private:
  using Words = std::span<const std::string_view>;
  void send();
  void add(const StreamBacklog::Message& message, RedisConnection::OnAnswer on_answer);
  void note(const redisReply& answer);
  void on_answered(const redisReply& answer);
  void look_back();
  void on_past(const redisReply& answer);
  void end_past();
  void read();
  void on_read(const redisReply& answer);
  void ask_to_read(Words words, void (FleetStream::*on_answer)(const redisReply&));

  std::string key_;
  std::string length_;
  Hooks hooks_;
  StreamBacklog backlog_;
  RedisConnection* speaks_ = nullptr;  // while they are connected
  RedisConnection* reads_ = nullptr;
  bool has_transactions_ = true;  // unless it has refused to begin one
  std::string refusal_;           // of something in the batch that is on its way
  bool is_refused_ = false;       // until it is tried again
  bool is_hidden_ = false;        // the same for reading
  std::string trouble_;
  std::string reading_trouble_;
  Past past_ = Past::Wanted;
  std::string looked_back_to_;      // the oldest entry of the past that has come
  std::vector<std::string> found_;  // of the past, the newest in front
  std::size_t found_bytes_ = 0;
  std::string position_;  // the last entry that was read; empty: we have read nothing yet
  std::size_t at_once_;   // entries in one answer
};

}  // namespace holdfast
