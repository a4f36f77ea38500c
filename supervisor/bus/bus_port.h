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
#include "core/retained.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_passing.h"
#include "sys/sealed_memory.h"
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

// A frame of a worker. `fds_lost`: this process is at its limit of descriptors, and those that came last are not here.
struct BusArrived {
  std::shared_ptr<BusBatch> batch;
  std::vector<UniqueFd> fds;
  bool fds_lost = false;
};

// Records of our own, in one place. No more than a frame holds. A large one is alone, and its memory goes with it.
[[nodiscard]] BusRun run_of(std::span<const std::byte> records, std::uint16_t count = 1);
[[nodiscard]] BusRun run_of(std::span<const std::byte> record, const SharedMemory& memory);

// The supervisor's end of one worker's bus channel: reads its frames one at a time, keeps what is for it in a bounded queue, and
// sends that in frames made of pieces of the shared batches. Never blocks. What waits for long has no more memory than four times
// the limit of the queue: a run that is a small part of its batch gets a place of its own then.
class BusPort {
 public:
  struct Hooks {
    // Whether a frame may be read in this turn, or one of a replay sent; no: `resume` asks again.
    std::function<bool()> may_work;
    std::function<void(std::size_t bytes)> on_replayed;
    std::function<void(BusArrived arrived)> on_frame;
    // Nothing more comes, nothing more goes.
    std::function<void()> on_closed;                 // the worker has closed its end
    std::function<void(const char* why)> on_broken;  // it has broken the protocol
    std::function<void(Duration)> on_worked;         // so long, because the channel was ready
  };
  BusPort(Loop& loop, UniqueFd end, BusQueue<BusRun>::Limit limit, Hooks hooks);

  // False: the worker is too slow for its policy, and is to be taken off. The records of a run are answers to calls, or none is; an
  // answer that finds no room loses its data, and says so (-ENOBUFS).
  [[nodiscard]] bool push(BusRun run);
  // What was said before and is kept. It stands behind what waits now and before what comes, and goes out as the channel takes it, not
  // through the queue, whose limit it would break at once. `NotAll`: the worker is told that there was more.
  enum class Kept { All, NotAll };
  void replay(const std::vector<Retained::Message>& messages, Kept kept);
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
  // Goes on after `may_work` said no.
  void resume();
  // Reads what its worker has left behind.
  void read_rest();
  // Says nothing, hears nothing from here on. What waited counts as dropped.
  void end();
  // So that the worker sees it. Not from inside a callback of this.
  void close();

  void set_limit(BusQueue<BusRun>::Limit limit) { queue_.set_limit(limit); }
  [[nodiscard]] const BusQueue<BusRun>& queue() const { return queue_; }
  [[nodiscard]] const std::deque<std::vector<std::byte>>& frames() const { return frames_; }
  // Messages that wait, in their order: calls with a BusRun of the queue, and with Retained::Bytes of a replay.
  template <class Each>
  void each_waiting(Each each) const;
  [[nodiscard]] std::uint64_t waiting() const;
  // Whether the worker is still to hear that a replay is not all that it asked for.
  [[nodiscard]] bool owes_word_of_a_gap() const;
  [[nodiscard]] BorrowedFd channel() const { return end_; }
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  [[nodiscard]] bool has_ended() const { return ended_; }

 private:
  void on_ready(FdWatcher::Ready ready);
  void take_turn(FdWatcher::Ready ready);
  enum class Read { Frame, Nothing };
  Read read_one();
  [[nodiscard]] bool has_frames();
  [[nodiscard]] bool send_frame();
  [[nodiscard]] bool send_dropped(std::uint64_t messages);
  [[nodiscard]] bool tell_what_was_dropped();
  [[nodiscard]] bool send_messages();
  [[nodiscard]] bool replay_is_next() const;
  enum class Replayed { Frame, Blocked, Rests };
  [[nodiscard]] Replayed send_replay();
  [[nodiscard]] bool send(std::span<const std::span<const std::byte>> pieces, std::span<const int> fds);
  void watch();
  [[nodiscard]] bool may_hear() const;

  Loop& loop_;
  UniqueFd end_;
  Hooks hooks_;
  BusQueue<BusRun> queue_;
  std::deque<std::vector<std::byte>> frames_;
  List list_;  // goes after these
  struct Replay {
    std::uint64_t place;  // of the first in the queue that goes after it
    std::deque<Retained::Bytes> messages;
    Kept kept;
  };
  std::deque<Replay> replays_;
  std::size_t replayed_bytes_ = 0;  // of all these
  std::uint64_t delivered_ = 0;
  bool is_compact_ = false;  // what is in the queue may wait for long, and keeps nothing but itself
  bool blocked_ = false;     // until the channel is writable, or the timer asks
  bool resting_ = false;     // no credit in this turn
  bool replay_rests_ = false;
  bool ended_ = false;
  std::optional<FdWatcher> watcher_;
  Timer retry_;
};

template <class Each>
void BusPort::each_waiting(Each each) const {
  auto replay = replays_.begin();
  const auto replays_before = [&](std::uint64_t place) {
    for (; replay != replays_.end() && replay->place <= place; ++replay) {
      for (const Retained::Bytes& bytes : replay->messages) each(bytes);
    }
  };
  queue_.each([&](const auto& item) {
    replays_before(item.place);
    each(item.run);
    return true;
  });
  replays_before(queue_.next_place());
}

}  // namespace holdfast
