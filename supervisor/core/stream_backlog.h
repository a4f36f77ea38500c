#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

// Messages that must survive a gap, until the server that keeps them has said that it has them. They go to it in batches, of which it
// keeps all or nothing, one at a time: so what it refuses, or what is on its way when the connection is lost, comes again before
// anything that is newer. The server may have a batch twice then, and whoever reads it knows the messages by their numbers.
//
// Bounded: beyond `max_bytes` the oldest go that are not on their way, and their numbers are missing for the others.
class StreamBacklog {
 public:
  struct Message {
    std::uint64_t number;
    std::string bytes;
  };
  explicit StreamBacklog(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Answers how many had to go.
  [[nodiscard]] std::size_t push(std::uint64_t number, std::string bytes) {
    bytes_ += bytes.size();
    waiting_.push_back({number, std::move(bytes)});
    std::size_t gone = 0;
    while (bytes_ > max_bytes_ && waiting_.size() > 1) {
      bytes_ -= waiting_.front().bytes.size();
      waiting_.pop_front();
      gone++;
    }
    return gone;
  }

  // The next batch, in order, of about so many bytes and at most so many messages, but at least one. It is on its way from here on.
  // Empty: nothing waits, or a batch is on its way already. Valid until it is known what became of it.
  [[nodiscard]] std::span<const Message> begin(std::size_t bytes, std::size_t messages) {
    if (!on_way_.empty()) return {};
    std::size_t size = 0;
    while (!waiting_.empty() && on_way_.size() < messages && size < bytes) {
      size += waiting_.front().bytes.size();
      on_way_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return on_way_;
  }
  // The server has the batch.
  void on_kept() {
    for (const Message& message : on_way_) bytes_ -= message.bytes.size();
    on_way_.clear();
  }
  // It has it not, or nobody knows.
  void on_refused() {
    waiting_.insert(waiting_.begin(), std::make_move_iterator(on_way_.begin()), std::make_move_iterator(on_way_.end()));
    on_way_.clear();
  }

  [[nodiscard]] std::size_t size() const { return on_way_.size() + waiting_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // All of them, in order.
  [[nodiscard]] std::vector<const Message*> messages() const {
    std::vector<const Message*> all;
    for (const Message& message : on_way_) all.push_back(&message);
    for (const Message& message : waiting_) all.push_back(&message);
    return all;
  }

 private:
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::vector<Message> on_way_;
  std::deque<Message> waiting_;
};

}  // namespace holdfast
