#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/bus_queue.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_passing.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The bytes of one frame of a publisher, which all who get its messages share.
struct BusBatch {
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0;
};

// Records that follow each other in one batch and go to the same worker.
struct BusRun {
  std::shared_ptr<const BusBatch> batch;
  std::size_t offset = 0;
  std::size_t length = 0;
  std::uint16_t records = 0;
  std::shared_ptr<const UniqueFd> memfd = {};  // of a large message, which is a run by itself
  std::size_t memory = 0;                      // bytes of that
};

// Records of our own, in one place. No more than a frame holds.
[[nodiscard]] BusRun run_of(std::span<const std::byte> records, std::uint16_t count = 1);

// The supervisor's end of one worker's bus channel: reads its frames one at a time, keeps what is for it in a bounded queue, and
// sends that in frames made of pieces of the shared batches. Never blocks. What waits for long has no more memory than four times
// the limit of the queue: a run that is a small part of its batch gets a place of its own then.
class BusPort {
 public:
  struct Hooks {
    std::function<bool()> may_read;  // whether a frame may be read in this turn; no: `resume` asks again
    std::function<void(std::shared_ptr<BusBatch> frame, std::vector<UniqueFd> fds)> on_frame;
    std::function<void(const char* why)> on_ended;  // nothing more comes, nothing more goes
  };
  BusPort(Loop& loop, UniqueFd end, BusQueue<BusRun>::Limit limit, Hooks hooks);

  // False: the worker is too slow for its policy, and is to be taken off. The records of a run are answers to calls, or none is; an
  // answer that finds no room loses its data, and says so (-ENOBUFS).
  [[nodiscard]] bool push(BusRun run);
  // A frame that is not about messages; small, and never dropped.
  void push_frame(std::vector<std::byte> frame) { frames_.push_back(std::move(frame)); }
  // The pools, in frames that belong together. A list that has not begun to be sent gives way to the next one.
  using List = std::shared_ptr<const std::vector<std::vector<std::byte>>>;
  void set_list(List list) { list_ = std::move(list); }
  // What another program counted that had this port.
  void adopt_counts(std::uint64_t delivered, std::uint64_t dropped, std::uint64_t untold) {
    delivered_ = delivered;
    queue_.adopt_counts(dropped, untold);
  }
  // Sends as much as goes. At the end of a turn.
  void flush();
  // Reads on after `may_read` said no.
  void resume();
  // Reads what its worker has left behind.
  void read_rest();
  // Says nothing, hears nothing from here on.
  void end();
  // So that the worker sees it. Not from inside a callback of this.
  void close();

  void set_limit(BusQueue<BusRun>::Limit limit) { queue_.set_limit(limit); }
  [[nodiscard]] const BusQueue<BusRun>& queue() const { return queue_; }
  [[nodiscard]] const std::deque<std::vector<std::byte>>& frames() const { return frames_; }
  [[nodiscard]] BorrowedFd channel() const { return end_; }
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  [[nodiscard]] bool has_ended() const { return ended_; }

 private:
  void on_ready(FdWatcher::Ready ready);
  enum class Read { Frame, Nothing };
  Read read_one();
  [[nodiscard]] bool has_frames();
  [[nodiscard]] bool send_frame();
  [[nodiscard]] bool send_messages();
  [[nodiscard]] bool send(std::span<const std::span<const std::byte>> pieces, std::span<const int> fds);
  void watch();
  [[nodiscard]] bool may_hear() const;

  Loop& loop_;
  UniqueFd end_;
  Hooks hooks_;
  BusQueue<BusRun> queue_;
  std::deque<std::vector<std::byte>> frames_;
  List list_;  // goes after these
  std::uint64_t delivered_ = 0;
  bool blocked_ = false;  // until the channel is writable, or the timer asks
  bool resting_ = false;  // no credit in this turn
  bool ended_ = false;
  std::optional<FdWatcher> watcher_;
  Timer retry_;
};

}  // namespace holdfast
