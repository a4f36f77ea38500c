#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/time.h"

namespace holdfast {

// Requests that wait for their answers. Each has a number of the bus's own, under which the one who answers knows it, and the
// number by which its caller does. Every call ends exactly once: by its answer, at its deadline, or with the one that was asked.
class PendingCalls {
 public:
  using Member = std::uint32_t;
  struct Call {
    Member caller;
    std::uint64_t number;  // the caller's own
    Member callee;
    TimePoint deadline;
  };

  [[nodiscard]] std::uint64_t begin(const Call& call) {
    calls_[++last_] = call;
    deadlines_.insert({call.deadline, last_});
    return last_;
  }
  // Nothing: there is no such call (any more), or somebody else was asked.
  [[nodiscard]] std::optional<Call> take(std::uint64_t id, Member callee) {
    const auto at = calls_.find(id);
    if (at == calls_.end() || at->second.callee != callee) return std::nullopt;
    return end(at);
  }
  // Those whose time is over, the oldest first.
  [[nodiscard]] std::vector<Call> expire(TimePoint now) {
    std::vector<Call> expired;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      expired.push_back(end(calls_.find(deadlines_.begin()->second)));
    }
    return expired;
  }
  // A member has gone: its own calls are forgotten; answered are those that it will not answer.
  [[nodiscard]] std::vector<Call> on_gone(Member member) {
    std::vector<Call> unanswered;
    for (auto at = calls_.begin(); at != calls_.end();) {
      const auto current = at++;
      const bool is_concerned = current->second.callee == member || current->second.caller == member;
      if (!is_concerned) continue;
      const Call call = end(current);
      if (call.caller != member) unanswered.push_back(call);
    }
    return unanswered;
  }
  // For another program that goes on with them: each with its number, and the last number that was given.
  [[nodiscard]] const std::map<std::uint64_t, Call>& all() const { return calls_; }
  [[nodiscard]] std::uint64_t last() const { return last_; }
  void adopt(std::uint64_t id, const Call& call) {
    if (calls_.try_emplace(id, call).second) deadlines_.insert({call.deadline, id});
    set_last(id);
  }
  void set_last(std::uint64_t id) { last_ = std::max(last_, id); }
  [[nodiscard]] TimePoint next_deadline() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
  [[nodiscard]] std::size_t size() const { return calls_.size(); }

 private:
  using Calls = std::map<std::uint64_t, Call>;
  Call end(Calls::iterator at) {
    const Call call = at->second;
    deadlines_.erase({call.deadline, at->first});
    calls_.erase(at);
    return call;
  }

  Calls calls_;
  std::set<std::pair<TimePoint, std::uint64_t>> deadlines_;
  std::uint64_t last_ = 0;
};

}  // namespace holdfast
