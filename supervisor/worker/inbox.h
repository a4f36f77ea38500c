#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "loop/timer.h"
#include "sys/counter_page.h"
#include "sys/fd_passing.h"
#include "sys/fd_table.h"
#include "wire/channel_frames.h"
#include "wire/saved_state.h"
#include "worker/connection_sink.h"

namespace holdfast {

// Where the connections of a slot wait for its worker: a channel of which the supervisor keeps both ends, and the page
// with the worker's counters. It outlives the workers that read it, one at a time; what a dead worker left is there for
// the next, or can be taken back. A connection is always in exactly one place: here unsent, in the channel's queue, or
// with a worker.
//
// Counting: waiting = unsent + sent - taken. While a worker lives, `taken` is what it says (never more than was sent);
// when it has ended the kernel tells how much was really left unread, so a lie or a crash between two steps is
// corrected.
class Inbox final : public ConnectionSink {
 public:
  struct Hooks {
    std::function<void(Inbox&, const WorkerFrame&)> on_frame;
    std::function<void(Inbox&, const Error&)> on_garbage;  // what came is not the protocol
    std::function<void()> on_room;                         // something that was blocked may go on
  };
  [[nodiscard]] static Result<std::unique_ptr<Inbox>> create(Loop& loop, Hooks hooks);

  // Goes on where another Inbox has stopped, in this process or in one before it.
  [[nodiscard]] static Result<std::unique_ptr<Inbox>> adopt(Loop& loop, const SavedInbox& saved, FdTable& fds,
                                                            Hooks hooks);
  [[nodiscard]] SavedInbox save(FdList& fds) const;
  // After `adopt` of a state that is older than the channel: takes back what is unread, and counts as sent what the worker says it
  // has taken. (What it takes at this very moment is counted later or never; the sum is the owner's to put right.) A worker
  // that had not read that it is to drain is told once more, by the next `flush`. What the worker had said, and nobody has written
  // down, its page tells: `has_spoken` and `is_ready`.
  [[nodiscard]] std::vector<Connection> recount();
  [[nodiscard]] bool has_spoken() const { return uses_page_; }
  [[nodiscard]] bool is_ready() const { return page_.ready(); }

  // Descriptors for the worker.
  [[nodiscard]] BorrowedFd worker_end() const { return channel_.worker_end; }
  [[nodiscard]] BorrowedFd page_fd() const { return page_.fd(); }

  // A worker has called shutdown(2) on the channel: nothing can be sent any more, what was sent can be taken back. It is
  // of no use to another worker.
  [[nodiscard]] bool is_shut() const override { return shut_; }

  void put(Connection connection) override;
  // In messages of up to HF_MAX_BATCH. Answers our copies of what was sent: the kernel holds them in the channel.
  std::vector<UniqueFd> flush() override;
  [[nodiscard]] bool unsent() const override { return !unsent_.empty(); }
  void drain(const DrainOrder& order) override;

  [[nodiscard]] Account account() const override;
  [[nodiscard]] TimePoint heartbeat(TimePoint now) const override;
  void want_room(bool wanted) override;

  void settle() override;
  // Workers may still be reading: each connection goes to exactly one side.
  [[nodiscard]] std::vector<Connection> take_back_some() override;

 private:
  struct Sent {
    std::size_t bytes;
    std::size_t connections;
  };
  struct FrameCounts {
    std::uint64_t taken = 0, accepted = 0, closed = 0, lost = 0;
    TimePoint heartbeat{};
  };  // of workers that do not use the page

  // Why the last send did not go through, and so what is waited for.
  enum class Blocked {
    No,
    QueueFull,  // until the channel is writable
    Otherwise,  // too many descriptors in flight, or no memory: nobody reports the end of that, so a timer asks
  };

  Inbox(Loop& loop, ChannelPair channel, CounterPage page, Hooks hooks);
  void on_ready(FdWatcher::Ready ready);
  void retry();
  void read_frames();
  void hear_garbage(const Error& error);
  void discard_frames();
  void take_note(const WorkerFrame& frame);
  struct TakenBack {
    std::vector<Connection> connections;
    std::optional<DrainOrder> drain;  // was among it
  };
  [[nodiscard]] TakenBack take_back();
  [[nodiscard]] Blocked send_batch(std::vector<UniqueFd>& sent);
  [[nodiscard]] Blocked send_drain();
  [[nodiscard]] Blocked send(const std::vector<std::byte>& bytes, std::span<const int> fds);
  void on_sent(std::size_t bytes, std::size_t connections);
  void trim_sent();
  void watch();

  Loop& loop_;
  Hooks hooks_;
  ChannelPair channel_;
  CounterPage page_;
  std::deque<Connection> unsent_;
  std::optional<DrainOrder> unsent_drain_;
  Blocked blocked_ = Blocked::No;
  std::deque<Sent> messages_;  // that the kernel may still hold, oldest first
  std::uint64_t sent_ = 0;
  std::uint64_t taken_before_ = 0;  // by earlier workers of this inbox
  std::uint64_t accepted_before_ = 0;
  std::uint64_t lost_before_ = 0;
  bool deaf_ = false;       // the present worker sent garbage: nothing more is heard from it
  bool shut_ = false;       // a worker has shut the channel down, for all who come after it as well
  bool greeted_ = false;    // the present worker has said HELLO
  bool unsure_ = false;     // whether it has is not known
  bool uses_page_ = false;  // the present worker said that it counts in the page
  FrameCounts frames_;
  FdWatcher watcher_;
  Timer retry_;
};

}  // namespace holdfast
