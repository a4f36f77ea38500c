#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bus/bus_member.h"
#include "bus/bus_port.h"
#include "bus/bus_tails.h"
#include "bus/fleet_link.h"
#include "config/config.h"
#include "core/bus_credits.h"
#include "core/pending_calls.h"
#include "core/result.h"
#include "core/retained.h"
#include "core/topic.h"
#include "loop/fine_timer.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_table.h"
#include "sys/sealed_memory.h"
#include "sys/unique_fd.h"
#include "wire/bus_frames.h"
#include "wire/bus_status.h"
#include "wire/saved_bus.h"

namespace holdfast {

class SavedMessages;

// Messages between workers: who wants what, to whom a key belongs, what is kept, who waits for an answer.
//
// A frame of a publisher is read once and stamped where it lies; everybody who gets its messages shares those bytes, and the
// kernel copies them from there (sendmsg with pieces). So a fan-out to W workers costs one copy here, not W. Work is
// bounded in each turn of the loop (core/bus_credits.h), and in its share of the time while clients come (core/bus_rest.h), so that
// connections do not wait behind messages.
class Bus {
 public:
  struct Hooks {
    std::function<BusPlace(std::string_view pool, std::string_view key)> place;
    std::function<std::optional<BusMember::Number>(std::string_view pool, SlotId slot)> member;
    std::function<std::vector<BusPool>()> pools;
    std::function<TimePoint()> last_client = {};  // when we have accepted one; null: nobody comes
  };
  Bus(Loop& loop, const BusConfig& config, std::uint64_t node, Hooks hooks);
  ~Bus();
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  // `label`: of the worker, for the log and the status ("main/2").
  [[nodiscard]] Result<std::unique_ptr<BusMember>> join(std::string label);

  // For the program that goes on where we stop (bus_saved.cc): members, subscriptions, what is kept and what waits, calls. Who
  // looks on from outside is not carried: he asks anew.
  // `Left`: without what changes with every message, which is out of date as soon as it is written.
  enum class Messages { Saved, Left };
  [[nodiscard]] Result<SavedBus> save(FdList& fds, Messages messages) const;
  // The other way round, on a bus that is new; what cannot be had is told, and counted as dropped for those who miss it. From
  // here on it is silent until `resume`.
  // `SuddenEnd`: it is older than the end of who wrote it. Then we are another node, our numbers begin far above his, and workers hear
  // of it, by another WELCOME: subscriptions, calls and messages of that moment may be lost.
  enum class After { Upgrade, SuddenEnd };
  void adopt(const SavedBus& saved, FdTable& fds, After after);
  // The place of a worker that was adopted, too. Null: it has none.
  [[nodiscard]] std::unique_ptr<BusMember> claim(BusMember::Number number);
  void resume();

  // From here on it reaches the machines that share this Redis. `settings` needs no node.
  void connect_fleet(FleetLink::Settings settings);
  // To others than us that share it: what they understand (wire/socketio_packet.h).
  void emit(std::string_view channel, std::string_view payload, FleetLink::OnEmitted on_emitted);
  // Before the end: `done` is called once the other machines' Redis has what was published, or cannot have it.
  void settle(std::function<void()> done);
  // Another configuration.
  void set_config(const BusConfig& config);
  // Slots have come, gone, begun or ceased to serve, perhaps. Looked at in the end of the turn.
  void on_pools_changed();

  // From outside. Answers how many subscribers it goes to.
  [[nodiscard]] Result<std::size_t> publish(std::string_view topic, std::string_view data);
  [[nodiscard]] BusTails& tails() { return tails_; }

  [[nodiscard]] BusStatus status() const;

 private:
  friend class BusMember;
  using Number = BusMember::Number;
  struct Member {
    std::string label;
    std::unique_ptr<BusPort> port;
    bool joined = false;
    bool is_uncertain = false;  // whether a supervisor that was killed had heard its JOIN
    std::size_t subscriptions = 0;
    std::uint64_t published = 0;
  };
  // Messages that follow each other in a frame and go to the same members.
  struct Group {
    std::vector<Number> targets;
    std::size_t begin = 0;
    std::size_t end = 0;
    std::uint16_t records = 0;
    bool is_of_answers = false;  // which are not dropped: all of them, or none
  };
  struct Arrival {
    Number from;
    std::shared_ptr<BusBatch> batch;
    std::vector<std::shared_ptr<const UniqueFd>> memfds;
    bool fds_lost = false;
    std::size_t next_memfd = 0;
    std::size_t delivered = 0;  // bytes, for the credit
    Group group = {};
  };

  Member& open_port(Number number, std::string label, UniqueFd end);
  void adopt_link(const SavedBus& saved, After after);
  void adopt_member(const SavedMember& saved, const SavedMessages& messages, FdTable& fds);
  void on_frame(Number from, BusArrived arrived);
  void on_messages(Arrival& arrival, const std::vector<BusRecord>& records);
  enum class Heard { Well, Broken };
  Heard on_record(Arrival& arrival, const BusRecord& record);
  void drop_large(const Arrival& arrival, const BusRecord& record);
  [[nodiscard]] static SharedMemory memory_of(const Arrival& arrival, const BusRecord& record);
  [[nodiscard]] std::optional<Number> target_of(const Arrival& arrival, const BusRecord& record);
  [[nodiscard]] std::optional<Number> target_of_reply(const Arrival& arrival, const BusRecord& record);
  void on_publish(Arrival& arrival, const BusRecord& record);
  void add(Arrival& arrival, const BusRecord& record, std::span<const Number> targets);
  void close_group(Arrival& arrival, std::shared_ptr<const UniqueFd> memfd = {}, std::size_t memory = 0);
  std::size_t deliver(std::string_view topic, std::string_view data, std::uint64_t node,
                      const SharedMemory& memory = {});
  void push(Number to, BusRun run);
  void push_own(Number to, std::span<const std::byte> record, const SharedMemory& memory = {});
  void refuse(Number caller, std::uint64_t call, int status);
  // Whoever called hears that there is no answer, and why.
  void fail(const PendingCalls::Call& call, int status);
  void on_callee_gone(Number number);
  // Where several machines have a pool together (bus_fleet.cc).
  [[nodiscard]] BusPlace place_of(std::string_view pool, std::string_view key) const;
  void send_away(const Arrival& arrival, const BusRecord& record, const FleetSlot& place);
  void answer_away(std::uint64_t node, const PendingCalls::Call& call, const Arrival& arrival, const BusRecord& record);
  void on_addressed(const FleetMessage& message, const SharedMemory& memory);
  void on_request(const FleetMessage& message, const SharedMemory& memory);
  void on_answer(const FleetMessage& message, const SharedMemory& memory);
  void return_to(const FleetMessage& message, int status);
  // Where it does not arrive, a deadline passes there.
  void tell_away(std::uint64_t node, const FleetMessage& message, SharedMemory memory = {});
  [[nodiscard]] Number peer_of(std::uint64_t node);
  [[nodiscard]] std::optional<std::uint64_t> node_of(Number peer) const;
  [[nodiscard]] BusPort::List list_of_pools() const;
  void refresh_pools();
  void tell_pools();
  // Whether it is on the bus.
  [[nodiscard]] bool hears(std::optional<Number> number) const;
  void subscribe(Number member, const BusSubscribe& wish);
  // What is kept after `after`, up to `last`.
  void replay(Number member, std::string_view pattern, std::uint64_t after, std::uint64_t last, BusPort::Kept all);
  // What the stream had before we were there (bus_fleet.cc).
  void on_history(std::string_view topic, std::string_view data, std::uint64_t node);
  void on_history_end();
  void welcome(Number number, Member& member);
  void keep(std::string_view topic, std::uint64_t sequence, std::span<const std::byte> record);
  void disconnect(Number number, const std::string& why);
  void take_off(Number number);
  void leave(Number number);
  void touch(Number number);
  void schedule();
  void end_turn();
  void rest();
  void go_on();
  [[nodiscard]] BusQueue<BusRun>::Limit limit() const;
  void expire_calls();

  Loop& loop_;
  BusConfig config_;
  std::uint64_t node_;
  Hooks hooks_;
  std::map<Number, Member> members_;
  Number last_number_ = 0;
  std::uint64_t sequence_ = 0;
  Subscriptions subscriptions_;
  BusCredits credits_;
  Retained retained_;
  PendingCalls calls_;
  BusTails tails_;
  std::unique_ptr<FleetLink> fleet_;
  std::vector<BusPool> pools_;  // ours, by the slots whose workers are on the bus
  bool pools_are_stale_ = false;
  std::map<std::uint64_t, Number> peers_;  // machines that call, or are called, and the numbers that stand for them
  std::vector<Number> touched_;            // have something to be sent at the end of the turn
  std::vector<Number> resting_;            // were told to wait for the next turn
  bool scheduled_ = false;
  Duration worked_{};                    // in this turn
  std::unique_ptr<FineTimer> rest_end_;  // null: without one it never rests
  bool rests_ = false;
  bool silent_ = false;         // between `adopt` and `resume`
  std::set<Number> unclaimed_;  // adopted, and nobody has asked for it
  SavedLink link_before_;       // of the program before us
  FleetStream::Past past_ = FleetStream::Past::Wanted;
  // Until the stream has shown its past: who has asked for it, for which topics, and after which number. The numbers of the past are
  // below those of all that is published meanwhile.
  std::map<std::pair<Number, std::string>, std::uint64_t> historians_;
  std::uint64_t history_ = 0;       // the last number of the past
  std::uint64_t history_left_ = 0;  // that may come; 0: it is known, or there is none
  std::vector<std::pair<std::uint64_t, std::string>> streamed_before_;
  std::uint64_t published_ = 0;
  std::uint64_t undelivered_ = 0;     // sent or asked, and nobody was there
  std::uint64_t gone_delivered_ = 0;  // of members that have left
  std::uint64_t gone_dropped_ = 0;
  std::uint64_t disconnected_ = 0;
  std::shared_ptr<Bus*> alive_;
  Timer deadline_;
};

}  // namespace holdfast
