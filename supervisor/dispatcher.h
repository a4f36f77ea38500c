#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrival.h"
#include "config/config.h"
#include "core/bucket_table.h"
#include "core/gather.h"
#include "core/heavy_bucket.h"
#include "core/heavy_sources.h"
#include "core/ids.h"
#include "core/recent_clients.h"
#include "listener/census.h"
#include "listener/listener.h"
#include "loop/fine_timer.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "placer.h"
#include "sys/fd_table.h"
#include "wire/saved_state.h"
#include "worker/connection_sink.h"

namespace holdfast {

// The pass plane: accepts connections, decides their slot and puts them into the slot's inbox.
//
// A turn accepts what waits (bounded), places each connection, then flushes every inbox that got one: one sendmsg for
// up to 64. Under load turns are some 100 us apart so that connections gather (core/gather.h).
//
// accepted = handed + waiting + refused, always: a connection is unplaced here, waiting in an inbox, taken by a worker,
// or refused and counted. Accepting pauses, and the kernel's backlog holds the clients, while a connection is unplaced
// (no eligible slot has room) or while this process has no free descriptor.
//
// Where open connections are bounded (max-connections) accepting goes on, and what finds no room waits here, bounded in number and
// time. That a worker has closed one stands in its page and nobody tells it, so the pages are looked at while somebody waits.
class Dispatcher {
 public:
  enum class Pause { No, NoRoom, NoDescriptors };

  // `pool` is borrowed; its limits count as they are at the moment.
  Dispatcher(Loop& loop, const PoolConfig& pool, HashKey hash_key, const BucketTable& table);

  // Takes a bound listener. Those that are there at `start` serve from then on, later ones from `serve_listener` on: until
  // then their clients wait in the kernel's queue.
  void add_listener(std::string name, ListeningSocket socket);
  // What the listener's connections go through once they are accepted; it gives them back with `arrive`, here or elsewhere. Without
  // one they are placed by their addresses at once.
  using Door = std::function<void(AcceptedConnection)>;
  void set_door(ListenerId listener, Door door) { doors_[listener.value] = std::move(door); }
  // From now on it is counted which sources come most by a listener without a door.
  void count_sources(ListenerId listener, KeyPrefix source);
  [[nodiscard]] const HeavySources* sources(ListenerId listener) const { return sources_[listener.value].get(); }
  // How the listener's clients are told that there is no room for them; without one they are reset. They are counted already.
  using Refuser = std::function<void(UniqueFd, Refusal)>;
  void set_refuser(ListenerId listener, Refuser refuser) { refusers_[listener.value] = std::move(refuser); }
  // Who comes by the listener is not held up by these limits of open connections, nor by those that the pool itself only tries; each one
  // that would have been is told.
  struct DryRun {
    LimitSet limits;
    std::function<void(Limit)> count;  // null: nobody is told
  };
  void set_dry_run(ListenerId listener, DryRun dry_run) { dry_runs_[listener.value] = std::move(dry_run); }
  [[nodiscard]] LimitSet tried_at(ListenerId listener) const;  // by either
  // The account of connections that another pool's listener accepts, and that are for this one.
  ListenerId add_guest(std::string name, const ListenAddress& address);
  void close_guest(ListenerId listener) { listeners_[listener.value]->set_stage(Listener::Stage::Gone); }
  [[nodiscard]] bool is_guest(ListenerId listener) const { return guests_[listener.value]; }
  void serve_listener(ListenerId listener);
  // Whoever comes from now on is refused, until the listener is removed, or serves again.
  void refuse_at_listener(ListenerId listener);
  // One that came with the socket of another: that is its own from now on; or it does not come, and the other goes on.
  void keep_shared_socket(ListenerId listener);
  void leave_shared_socket(ListenerId listener);
  // One that is leaving, or serves too early, comes (again).
  void revive_listener(ListenerId listener);
  // Two steps of an end that takes `kHandshakeTime` until `remove_listener`. Answers whether anybody may be in the middle of a handshake,
  // else it needs neither.
  [[nodiscard]] bool begin_to_close(ListenerId listener);
  // It cannot be undone. Nobody new comes to it; who has begun to come is served.
  void close_to_new_clients(ListenerId listener) { listeners_[listener.value]->close_to_new_clients(); }
  // The kernel sends the second packet of a handshake again after a second.
  static constexpr Duration kHandshakeTime = std::chrono::milliseconds(1500);
  // Serves those whom the kernel has already connected (unless they are refused there), and closes it.
  void remove_listener(ListenerId listener);
  // Its socket is about to be shut down; its account goes on.
  void close_socket(ListenerId listener) { listeners_[listener.value]->close(); }
  // The id that the next one will have.
  [[nodiscard]] ListenerId next_listener() const { return ListenerId{static_cast<std::uint32_t>(listeners_.size())}; }
  void start();

  // Listeners with their accounts, the table, and what has no place yet: goes on where another one has stopped, before `start`.
  [[nodiscard]] Outcome adopt(const SavedPool& saved, FdTable& fds);
  void save(SavedPool& saved, FdList& fds) const;
  // Accepts what the kernel has already completed, then closes the listeners. What finds no room is refused. Those of a
  // service manager are only closed: they go on without us.
  void close_listeners();

  // Slots come and go at the end. They count from the next `set_table` on, which may have fewer slots than there are.
  void resize(unsigned slots);
  void set_table(const BucketTable& table);
  void set_hash_key(HashKey key);
  [[nodiscard]] HashKey hash_key() const { return hash_key_; }

  // What the fleet tells. An inbox is borrowed until it is replaced.
  void set_inbox(SlotId slot, ConnectionSink* inbox);
  enum class SlotState { Serving, Held, Lent };
  void set_state(SlotId slot, SlotState state);
  // Connections that were taken back from an inbox, to be placed again. They were counted as accepted before. Those
  // without a descriptor were lost on the way back, and are counted as that.
  void redispatch(std::vector<Connection> connections);
  // Whether workers take connections from their inboxes. Else whoever comes here is refused: the kernel should have sent him
  // to a worker's own socket (Steerer), and nobody else can be given him.
  void set_passing(bool passing) { passing_ = passing; }
  // A connection that was accepted elsewhere, at a socket of a slot; `flush_adopted` after the last of a turn.
  void adopt(ListenerId listener, AcceptedConnection connection);
  void flush_adopted() { flush(); }
  // A connection that has come through a door. It was counted as accepted.
  void arrive(Arrival arrival) { arrive(described(std::move(arrival))); }
  // The same in two steps, between which it may wait elsewhere.
  [[nodiscard]] Connection described(Arrival arrival) const;
  void arrive(Connection connection) { enter(std::move(connection)); }
  // Looks at each accepted connection before it is placed, and may take it; it comes back by `admit`. Until then it is
  // waiting, like what is unplaced.
  using SessionDoor = std::function<bool(Connection&)>;
  void set_session_door(SessionDoor door) { session_door_ = std::move(door); }
  // For this slot, if it has clients of its own at present; else, or without one, by the client's address.
  void admit(Connection connection, std::optional<SlotId> slot);
  // A slot may have room again.
  void on_room();
  // The pool's limits are others than before: who waits for room waits for what they say now.
  void on_limits_changed();
  // Closes connections that will never reach a worker.
  void refuse(std::vector<Connection> connections, Refusal refusal);
  // The same, and each is told as its listener tells it.
  void turn_away(std::vector<Connection> connections, Refusal refusal);
  // The same for all that have no place yet: there will be none.
  void refuse_unplaced();

  // Questions.
  // Where a connection like this one would go, which need not be there. Nothing changes.
  struct Prospect {
    enum class By { Bucket, Key, Tag, Load };  // what decides
    By by = By::Bucket;
    std::uint32_t hash = 0;
    unsigned bucket = 0;
    std::optional<SlotId> slot;
    std::vector<SlotId> preference;  // in which order it would be offered to the slots; none by load
  };
  [[nodiscard]] Prospect prospect(const Arrival& arrival) const;
  [[nodiscard]] const std::vector<std::unique_ptr<Listener>>& listeners() const { return listeners_; }
  [[nodiscard]] Pause pause() const { return pause_; }
  [[nodiscard]] std::string pause_reason() const;  // empty while accepting
  [[nodiscard]] std::uint64_t unplaced() const { return unplaced_.size() + at_door_; }
  [[nodiscard]] const BucketTable& table() const { return table_; }
  [[nodiscard]] std::uint32_t hash(const IpAddress& address) const;
  [[nodiscard]] std::uint32_t hash(std::string_view key) const { return hash_text(key, hash_key_); }
  [[nodiscard]] std::optional<SlotId> serving_slot(unsigned bucket) const;  // where its connections go now
  // Buckets that are told apart; the first of each group of neighbours speaks for all.
  void set_resolution(unsigned buckets);
  [[nodiscard]] unsigned resolution() const { return resolution_; }
  [[nodiscard]] unsigned served_buckets(SlotId slot) const;
  [[nodiscard]] std::uint64_t accepted() const;
  [[nodiscard]] TimePoint last_client() const { return last_client_; }  // when one was accepted
  [[nodiscard]] const RecentClients& recent_clients() const { return recent_clients_; }

 private:
  struct Slot {
    ConnectionSink* inbox = nullptr;
    SlotState state = SlotState::Held;
    TimePoint serving_since{};
    // When it was given keys that others had before; none: they have been its own from the start.
    std::optional<TimePoint> keys_since;
    bool touched = false;  // has connections of this turn that are not flushed
  };

  void on_connections(Listener& listener);
  void on_tick();
  enum class Accepted { One, None, Paused };
  Accepted accept_one(Listener& listener);
  std::size_t accept_from(Listener& listener);
  void accept_rest(Listener& listener);
  void take(Listener& listener, AcceptedConnection connection);
  void end_turn(std::size_t accepted);
  [[nodiscard]] ConnectionRecord describe(const Endpoint& remote, ListenerId listener) const;
  [[nodiscard]] ConnectionRecord describe(const Arrival& arrival) const;
  [[nodiscard]] unsigned bucket_for(const Endpoint& remote) const;
  void enter(Connection connection);
  void place_in_turn(Connection connection);
  void place(Connection connection);
  // `tried`: the limits of open connections that hold nobody up.
  [[nodiscard]] std::optional<SlotId> slot_with_room(const ConnectionRecord& record, LimitSet tried);
  [[nodiscard]] std::optional<SlotId> slot_of_bucket_with_room(unsigned bucket, LimitSet tried) const;
  [[nodiscard]] std::optional<SlotId> slot_of_placer_with_room(const ConnectionRecord& record, LimitSet tried);
  void watch_holders();
  [[nodiscard]] std::optional<SlotId> choose(Placer& placer, const ConnectionRecord& record,
                                             std::span<const SlotLoad> loads) const;
  [[nodiscard]] std::optional<SlotId> holder_of(const ConnectionRecord& record, std::optional<SlotId> chosen) const;
  void note_holder(SlotId slot, const Connection& connection);
  void read_loads(std::vector<SlotLoad>& loads, LimitSet tried) const;
  [[nodiscard]] unsigned tenths_of(const Slot& slot) const;
  [[nodiscard]] bool is_over_guests_limit(ListenerId listener) const;
  [[nodiscard]] bool has_room(SlotId slot, LimitSet tried) const;
  void count_tried(ListenerId listener, SlotId slot) const;
  [[nodiscard]] bool is_at_limit() const;
  [[nodiscard]] bool is_at_limit(const Slot& slot) const;
  [[nodiscard]] std::uint64_t load() const;
  void wait_for_close(Connection connection);
  void look_for_closed();
  void refuse_politely(Connection connection, Refusal refusal);
  [[nodiscard]] bool is_spread(const ConnectionRecord& record) const;
  void report_heavy(const ConnectionRecord& record) const;
  void put(SlotId slot, Connection connection);
  void flush();
  void place_unplaced();
  void set_pause(Pause pause);
  void pause_for_descriptors(const std::string& why);
  void watch_listeners();
  void rebuild_routes();

  Loop& loop_;
  const PoolConfig& pool_;
  HashKey hash_key_;
  BucketTable table_;
  std::vector<Slot> slots_;
  std::vector<bool> available_;
  std::array<std::optional<SlotId>, kBuckets> routes_{};
  std::vector<SlotId> touched_;
  std::deque<Connection> unplaced_;
  std::vector<Connection> returning_;  // were at the session door of another program, and come to ours at the start
  SessionDoor session_door_;
  std::uint64_t at_door_ = 0;  // connections
  RecentClients recent_clients_;
  Gather gather_;
  HeavyBuckets heavy_;
  Pause pause_ = Pause::No;
  std::string descriptor_pause_reason_;
  TimePoint next_descriptor_log_{};
  unsigned resolution_ = kBuckets;
  bool passing_ = true;
  bool started_ = false;
  std::uint64_t last_connection_ = 0;
  TimePoint last_client_{};
  std::optional<Placer> placer_;  // absent: the table of buckets alone
  std::vector<SlotLoad> loads_;   // for it
  std::unique_ptr<Census> held_;  // by key, which slot has its connections; null: that is no matter
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Door> doors_;                             // of each listener; mostly empty
  std::vector<Refuser> refusers_;                       // likewise
  std::vector<std::unique_ptr<HeavySources>> sources_;  // null: of those that have a door, it counts
  std::vector<DryRun> dry_runs_;
  std::vector<bool> guests_;
  std::unique_ptr<FineTimer> tick_;  // absent where the kernel has no timerfd for us: then nothing gathers
  Timer resume_;
  Timer closed_;  // while connections wait for others to be closed
};

}  // namespace holdfast
