#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

namespace holdfast {

// What happens to a message of the bus for a worker whose queue is full.
enum class BusFull {
  DropOldest,  // what has waited longest gives way
  DropNewest,  // what comes is dropped
  Disconnect,  // the worker is taken off the bus: who cannot miss a message should know that he has
};

// The messages that one worker has not taken from the bus yet, in order. They come and go in runs: messages that followed each
// other in one frame of their publisher, and are forwarded together. Bounded by bytes; what is dropped is counted, message by
// message, until the worker was told. A run is dropped whole. One that is larger than the limit passes through an empty queue.
template <class Run>
class BusQueue {
 public:
  struct Limit {
    std::size_t bytes = 0;
    BusFull full = BusFull::DropOldest;
  };
  struct Item {
    Run run;
    std::size_t bytes;
    std::uint64_t messages;
  };

  void set_limit(Limit limit) { limit_ = limit; }

  // False: the worker is to be disconnected, and nothing was changed.
  [[nodiscard]] bool push(Run run, std::size_t bytes, std::uint64_t messages) {
    if (limit_.full == BusFull::Disconnect && is_too_much(bytes)) return false;
    while (limit_.full == BusFull::DropOldest && is_too_much(bytes)) {
      drop(items_.front().messages);
      pop();
    }
    if (is_too_much(bytes)) {
      drop(messages);
      return true;
    }
    bytes_ += bytes;
    messages_ += messages;
    items_.push_back({std::move(run), bytes, messages});
    return true;
  }

  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] const std::deque<Item>& items() const { return items_; }
  // Takes the oldest off.
  void pop() {
    bytes_ -= items_.front().bytes;
    messages_ -= items_.front().messages;
    items_.pop_front();
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }  // ever
  [[nodiscard]] std::uint64_t untold() const { return untold_; }    // of these, what the worker has not heard of
  void on_told() { untold_ = 0; }
  // What another program counted that had this queue.
  void adopt_counts(std::uint64_t dropped, std::uint64_t untold) {
    dropped_ = dropped;
    untold_ = untold;
  }

 private:
  [[nodiscard]] bool is_too_much(std::size_t more) const { return !items_.empty() && bytes_ + more > limit_.bytes; }
  void drop(std::uint64_t messages) {
    dropped_ += messages;
    untold_ += messages;
  }

  Limit limit_;
  std::deque<Item> items_;
  std::size_t bytes_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;
};

}  // namespace holdfast
