#pragma once

#include <cstdint>
#include <map>
#include <utility>

namespace holdfast {

// Messages of other machines, by the numbers that these give them: which are new, and how many are missing. A machine that is
// heard for the first time begins with whatever number comes.
class FleetOrder {
 public:
  using Node = std::uint64_t;
  // Whether the message is new; what was skipped before it counts as missing.
  [[nodiscard]] bool on_message(Node node, std::uint64_t sequence) {
    const auto [at, is_first] = last_.try_emplace(node, sequence - 1);
    if (sequence <= at->second) return false;
    missing_ += sequence - at->second - 1;
    at->second = sequence;
    return true;
  }
  // The machine says what it sent last: what is not here by now will not come, because it would have come before.
  void on_told_last(Node node, std::uint64_t sequence) {
    const auto [at, is_first] = last_.try_emplace(node, sequence);
    if (sequence <= at->second) return;
    missing_ += sequence - at->second;
    at->second = sequence;
  }
  void forget(Node node) { last_.erase(node); }
  [[nodiscard]] std::uint64_t missing() const { return missing_; }
  // For another program that goes on with it.
  [[nodiscard]] const std::map<Node, std::uint64_t>& heard() const { return last_; }
  void adopt(std::map<Node, std::uint64_t> heard, std::uint64_t missing) {
    last_ = std::move(heard);
    missing_ = missing;
  }

 private:
  std::map<Node, std::uint64_t> last_;
  std::uint64_t missing_ = 0;
};

}  // namespace holdfast
