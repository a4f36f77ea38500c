#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Every way a connection can end other than by its answer. `kFailureNames` has the names of the report, in the same
// order.
enum class Failure {
  Refused,      // nobody listens
  Reset,        // reset before the whole answer had come
  ClosedEarly,  // an orderly end before the whole answer had come
  Timeout,      // no whole answer in time
  BadAnswer,    // an answer that is not a 2xx with a length, or has no slot where one was expected
  BacklogFull,  // a Unix socket's backlog had no room
  Local,        // this program's own trouble: no descriptor, no port (the first is explained on stderr)
};
inline constexpr std::array<std::string_view, 7> kFailureNames = {
    "refused", "reset", "closed_early", "timeout", "bad_answer", "backlog_full", "local"};
static_assert(kFailureNames.size() == static_cast<std::size_t>(Failure::Local) + 1);

// What happened, in exact numbers: every connection that was started ends in exactly one of answered (or held), failed
// and abandoned. Latencies are kept one by one, so that percentiles are exact.
class Report {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  void on_started() { ++started_; }
  void on_request() { ++requests_; }
  void on_answered(Nanoseconds latency) {
    ++answered_;
    latencies_.push_back(latency);
  }
  void on_slot(unsigned slot);
  void on_failed(Failure failure) { ++failed_[static_cast<std::size_t>(failure)]; }
  void on_abandoned() { ++abandoned_; }
  void on_closed_while_held() { ++closed_while_held_; }
  void on_sticky_violation() { ++sticky_violations_; }
  // What was counted so far was the warm-up; from here on it is what is measured. The connections stay counted.
  void restart_measuring(std::size_t expected);

  [[nodiscard]] std::uint64_t started() const { return started_; }
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t answered() const { return answered_; }

  // One JSON object on one line. `stickiness_checked`: whether `sticky_violations` means anything.
  enum class Stickiness { Ignored, Checked };
  [[nodiscard]] std::string json(std::string_view mode, Nanoseconds wall, Stickiness stickiness);

 private:
  std::uint64_t started_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t abandoned_ = 0;
  std::uint64_t closed_while_held_ = 0;
  std::uint64_t sticky_violations_ = 0;
  std::array<std::uint64_t, kFailureNames.size()> failed_{};
  std::vector<std::uint64_t> slots_;  // answers by slot
  std::vector<Nanoseconds> latencies_;
};

}  // namespace holdfast
