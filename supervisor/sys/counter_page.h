#pragma once

#include <cstdint>

#include "core/result.h"
#include "core/time.h"
#include "sys/unique_fd.h"

struct hf_page;  // <holdfast/channel.h>

namespace holdfast {

// The shared page of an inbox (holdfast/channel.h, hf_page): a memfd of one page, sealed so that a worker can neither
// shrink it (which would make our reads a SIGBUS) nor grow it. The worker writes counters and its heartbeat, the
// supervisor reads numbers: it believes none of them for anything but statistics, credit and liveness of that very
// worker.
class CounterPage {
 public:
  [[nodiscard]] static Result<CounterPage> create();
  // One that another process of ours has made. An error for anything that is no such page.
  [[nodiscard]] static Result<CounterPage> adopt(UniqueFd fd);
  CounterPage(CounterPage&& other) noexcept;
  CounterPage& operator=(CounterPage&& other) noexcept;
  ~CounterPage();

  [[nodiscard]] BorrowedFd fd() const { return fd_; }
  [[nodiscard]] std::uint64_t taken() const;     // from the channel
  [[nodiscard]] std::uint64_t accepted() const;  // from a socket of the slot, by the worker itself
  [[nodiscard]] std::uint64_t closed() const;    // of both
  [[nodiscard]] std::uint64_t lost() const;
  // When the worker last said that it lives; never later than `now`, kNever's opposite (TimePoint{}) if never.
  [[nodiscard]] TimePoint heartbeat(TimePoint now) const;
  // Whether the worker has said that it serves: the same as its frame, for who may have missed that.
  [[nodiscard]] bool ready() const;
  // Asks the worker to send a TAKEN frame whenever it has taken something up.
  void want_taken(bool wanted);
  // Zeroes the worker's fields: before a new occupant starts, never while one lives.
  void reset();

 private:
  explicit CounterPage(UniqueFd fd, hf_page* page);
  [[nodiscard]] static Result<CounterPage> map(UniqueFd fd, const char* doing);
  UniqueFd fd_;
  hf_page* page_ = nullptr;  // mapped shared; null only when moved from
};

}  // namespace holdfast
