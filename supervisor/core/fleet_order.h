#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace holdfast {

// Messages of other machines, by the numbers that these give them: which are new, and how many are missing. A machine that is
// heard for the first time begins with whatever number comes. A machine that is silent is not forgotten, because what it says next
// tells what was missed; bounded is how many are known, for every restart makes another one: who was heard longest ago goes.
class FleetOrder {
 public:
  using Node = std::uint64_t;
  static constexpr std::size_t kMaxNodes = 1024;
  // Whether the message is new; what was skipped before it counts as missing.
  [[nodiscard]] bool on_message(Node node, std::uint64_t sequence) {
    std::uint64_t& last = last_of(node, sequence - 1);
    if (sequence <= last) return false;
    missing_ += sequence - last - 1;
    last = sequence;
    return true;
  }
  // The machine says what it sent last: what is not here by now will not come, because it would have come before.
  void on_told_last(Node node, std::uint64_t sequence) {
    std::uint64_t& last = last_of(node, sequence);
    if (sequence <= last) return;
    missing_ += sequence - last;
    last = sequence;
  }
  [[nodiscard]] std::uint64_t missing() const { return missing_; }
  // For another program that goes on with it.
  [[nodiscard]] const std::map<Node, std::uint64_t>& heard() const { return last_; }
  void adopt(std::map<Node, std::uint64_t> heard, std::uint64_t missing) {
    last_ = std::move(heard);
    missing_ = missing;
  }

 private:
  std::uint64_t& last_of(Node node, std::uint64_t otherwise) {
    const auto [at, is_first] = last_.try_emplace(node, otherwise);
    heard_at_[node] = ++now_;
    if (is_first && last_.size() > kMaxNodes) forget_the_oldest();
    return at->second;
  }
  // Not the one that was heard just now.
  void forget_the_oldest() {
    const auto heard_before = [this](const auto& a, const auto& b) { return heard_at_[a.first] < heard_at_[b.first]; };
    const auto oldest = std::min_element(last_.begin(), last_.end(), heard_before);
    heard_at_.erase(oldest->first);
    last_.erase(oldest);
  }

  std::map<Node, std::uint64_t> last_;
  std::map<Node, std::uint64_t>
      heard_at_;  // by a clock that counts what is heard; of those that another program heard: none
  std::uint64_t now_ = 0;
  std::uint64_t missing_ = 0;
};

}  // namespace holdfast
