#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace holdfast {

// Messages that must survive a gap, until the server that keeps them has said that it has them. When the connection is lost those that
// it has not acknowledged are sent again: it may have them twice then, and whoever reads them knows them by their numbers.
//
// Bounded: beyond `max_bytes` the oldest go, and their numbers are missing for the others.
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
    messages_.push_back({number, std::move(bytes)});
    std::size_t gone = 0;
    while (bytes_ > max_bytes_ && messages_.size() > 1) {
      pop();
      gone++;
    }
    return gone;
  }
  // The server has this one, and so everything before it.
  void on_kept(std::uint64_t number) {
    while (!messages_.empty() && messages_.front().number <= number) pop();
  }
  [[nodiscard]] const std::deque<Message>& messages() const { return messages_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void pop() {
    bytes_ -= messages_.front().bytes.size();
    messages_.pop_front();
  }
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::deque<Message> messages_;
};

}  // namespace holdfast
