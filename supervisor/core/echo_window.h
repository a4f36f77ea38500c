#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace holdfast {

// How much was said on a channel that we hear ourselves, and has not come back yet: who says more than he can hear is cut off by
// Redis (client-output-buffer-limit pubsub), with all that he still had to say.
//
// What was said before the channel was heard never comes back. A beat that does tells that everything before it came, or will not.
class EchoWindow {
 public:
  void on_said(std::size_t bytes) { said_ += bytes; }
  void on_beat_said() { beats_.push_back(said_); }
  void on_heard(std::size_t bytes) { heard_ = std::min(heard_ + bytes, said_); }
  void on_beat_heard() {
    if (beats_.empty()) return;
    heard_ = std::max(heard_, beats_.front());
    beats_.pop_front();
  }
  [[nodiscard]] std::uint64_t unheard() const { return said_ - heard_; }

 private:
  std::uint64_t said_ = 0;
  std::uint64_t heard_ = 0;
  std::deque<std::uint64_t> beats_;  // what had been said before each that has not come back
};

}  // namespace holdfast
