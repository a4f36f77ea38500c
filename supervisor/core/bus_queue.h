#pragma once

#include <algorithm>
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
//
// Answers to calls stand in the same order and count against the same limit, but none is dropped: whoever calls waits for his. For one
// that finds no room there is a short one instead, which goes beyond the limit; who makes them bounds their number.
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
    std::uint64_t place;  // grows from one to the next
  };

  void set_limit(Limit limit) { limit_ = limit; }
  [[nodiscard]] const Limit& limit() const { return limit_; }

  // False: the worker is to be disconnected, and nothing was changed.
  [[nodiscard]] bool push(Run run, std::size_t bytes, std::uint64_t messages) {
    if (limit_.full == BusFull::Disconnect && is_too_much(bytes)) return false;
    if (make_room(bytes)) {
      put(messages_, std::move(run), bytes, messages);
    } else {
      drop(messages);
    }
    return true;
  }
  // Drops messages for it, if that is the policy. Whether there is room then.
  [[nodiscard]] bool make_room(std::size_t bytes) {
    while (limit_.full == BusFull::DropOldest && is_too_much(bytes) && !messages_.empty()) {
      drop(messages_.front().messages);
      pop(messages_);
    }
    return !is_too_much(bytes);
  }
  void push_answer(Run run, std::size_t bytes, std::uint64_t messages) {
    put(answers_, std::move(run), bytes, messages);
    waiting_answers_ += messages;
  }

  // Where the next one will stand, and where the oldest does, which is that if there is none.
  [[nodiscard]] std::uint64_t next_place() const { return next_place_; }
  [[nodiscard]] std::uint64_t oldest_place() const {
    const std::uint64_t message = messages_.empty() ? next_place_ : messages_.front().place;
    return answers_.empty() ? message : std::min(message, answers_.front().place);
  }
  // Messages that were for the worker, and did not come so far.
  void count_dropped(std::uint64_t messages) { drop(messages); }

  [[nodiscard]] bool empty() const { return messages_.empty() && answers_.empty(); }
  // From the oldest on, until `each` answers false.
  template <class Each>
  void each(Each each) const {
    auto message = messages_.begin();
    auto answer = answers_.begin();
    while (message != messages_.end() || answer != answers_.end()) {
      const bool is_message =
          answer == answers_.end() || (message != messages_.end() && message->place < answer->place);
      if (!each(is_message ? *message++ : *answer++)) return;
    }
  }
  // The runs, to be put into another place. Their size and order stay.
  template <class Change>
  void each_run(Change change) {
    for (Items* const items : {&messages_, &answers_}) {
      for (Item& item : *items) change(item.run);
    }
  }
  // Takes the oldest off.
  void pop() {
    if (answers_.empty() || (!messages_.empty() && messages_.front().place < answers_.front().place)) {
      return pop(messages_);
    }
    waiting_answers_ -= answers_.front().messages;
    pop(answers_);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t messages() const { return waiting_; }  // answers are some of them
  [[nodiscard]] std::uint64_t answers() const { return waiting_answers_; }

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }  // ever
  [[nodiscard]] std::uint64_t untold() const { return untold_; }    // of these, what the worker has not heard of
  void on_told() { untold_ = 0; }
  // What another program counted that had this queue.
  void adopt_counts(std::uint64_t dropped, std::uint64_t untold) {
    dropped_ = dropped;
    untold_ = untold;
  }

 private:
  using Items = std::deque<Item>;
  [[nodiscard]] bool is_too_much(std::size_t more) const { return !empty() && bytes_ + more > limit_.bytes; }
  void put(Items& items, Run run, std::size_t bytes, std::uint64_t messages) {
    bytes_ += bytes;
    waiting_ += messages;
    items.push_back({std::move(run), bytes, messages, next_place_++});
  }
  void pop(Items& items) {
    bytes_ -= items.front().bytes;
    waiting_ -= items.front().messages;
    items.pop_front();
  }
  void drop(std::uint64_t messages) {
    dropped_ += messages;
    untold_ += messages;
  }

  Limit limit_;
  Items messages_;
  Items answers_;
  std::uint64_t next_place_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t waiting_answers_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;
};

}  // namespace holdfast
