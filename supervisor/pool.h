#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/bucket_table.h"
#include "core/placement_key.h"
#include "dispatcher.h"
#include "fleet_runner.h"
#include "front_door.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "steerer.h"
#include "wire/route_answer.h"
#include "wire/status.h"

namespace holdfast {

// What a reload changes in a pool that goes on.
struct PoolChange {
  PoolConfig config;
  bool roll = false;               // a value has changed that only new workers have
  std::set<std::string> closed;    // names of listeners
  std::set<ListenerId> handed_on;  // those whose sockets others go on with
};

// Workers that run the same command, the listeners whose clients they serve, and the account of both.
class Pool {
 public:
  Pool(Loop& loop, const PoolConfig& config, HashKey hash_key, FleetRunner::Hooks hooks);

  [[nodiscard]] const std::string& name() const { return config_.name; }
  [[nodiscard]] const PoolConfig& config() const { return config_; }

  // Whether this system can do what the pool's intake needs; what is only offered is left out, and the log says so.
  [[nodiscard]] Outcome check_system();
  // A listener of this or of another pool that is about to go, and is in the way of one that comes.
  struct InTheWay {
    ListenAddress wished;
    ListenAddress address;  // as bound
    BorrowedFd socket;      // -1: UDP
    bool steered;
  };
  // Those of this name.
  [[nodiscard]] std::vector<InTheWay> sockets_of(std::string_view listener) const;
  // Open TCP listeners that have this very address: two of ours have one socket. And those of this pool of which another one, of
  // `pools`, goes on with the socket.
  [[nodiscard]] std::size_t listeners_at(const ListenAddress& address) const;
  [[nodiscard]] std::set<ListenerId> handed_on(const std::vector<std::unique_ptr<Pool>>& pools) const;
  // Binds. After `start` it serves nobody before the next `apply` has told the workers. Errors: those of listen_on.
  // One that has the same address as one in the way goes on with its socket, if both pools take connections from us and this one
  // has started already; else EADDRINUSE, and so for two that both mean every address where one is steered.
  [[nodiscard]] Outcome open_listener(const ListenerConfig& listener, int backlog,
                                      const std::vector<InTheWay>& in_the_way = {});
  // The same with a socket that a service manager has opened.
  [[nodiscard]] Outcome take_listener(const ListenerConfig& listener, ListeningSocket socket, int backlog);
  // For the front doors of listeners: the pool as its own listeners of that name see it (those that come, if any do; else those
  // that serve); as another pool's does; and the door of listeners of its own. All of it before they serve.
  [[nodiscard]] std::vector<FrontDoor::Target> targets(std::string_view listener);
  [[nodiscard]] FrontDoor::Target add_guest(const FrontDoor::Target& home);
  void hang(std::unique_ptr<FrontDoor> door);
  void take_off_door(ListenerId listener, KeyPrefix source);  // `source`: of which it is counted who comes most
  // In a reload, after `start`: listeners whose routes lead to pools whose workers do not know them yet come only when these do.
  void hold_back();
  // To be called when workers of another pool have learned of listeners.
  void serve_held_back();
  // Closes those that were opened after `start` and not applied.
  void close_coming();
  void start();

  // In place of `check_system` and `open_listener`: goes on where another pool has stopped.
  [[nodiscard]] Outcome adopt(const SavedPool& saved, FdTable& fds);
  [[nodiscard]] SavedPool save(FdList& fds, SavedFor what) const;
  // Before a `save` for a program that takes over: what may be given to the workers is.
  void let_all_in();
  // After `adopt` of a state that was not written at the end: the supervisor before us was killed. What has happened since is
  // found out as far as it can be.
  void recount();
  void resume();  // `start` after `adopt`, and after the doors hang
  // Before the `stop` of a pool that is taken out while others go on: its listeners are closed, and who has begun to come is
  // served first.
  void close_listeners(const std::set<ListenerId>& handed_on);
  // `done` is called once, maybe at once: when nobody listens any more where `apply` and `close_listeners` have closed.
  void when_closed(std::function<void()> done);
  // The first call closes the listeners.
  void stop(Fleet::Stop how);
  // At the end, when nobody is left to take them up: resets the connections that still wait.
  void refuse_waiting();

  // Another configuration with the same intake and plane, and the listeners that were opened before. Where workers must learn
  // of that every one is replaced, and if a new one fails all goes back to what was. `done` is called once.
  void apply(PoolChange change, std::function<void(Outcome)> done);

  [[nodiscard]] FleetRunner& runner() { return runner_; }
  [[nodiscard]] const FleetRunner& runner() const { return runner_; }

  [[nodiscard]] HashKey hash_key() const { return dispatcher_.hash_key(); }
  // Clients are placed anew.
  void set_hash_key(HashKey key);

  // When one was last accepted; where workers accept them nobody tells us.
  [[nodiscard]] TimePoint last_client() const { return dispatcher_.last_client(); }

  // Adds its listeners, itself and its numbers.
  void add_to(Status& status) const;
  // How many of the 512 buckets go to another slot if there were so many of them.
  [[nodiscard]] unsigned would_move(unsigned slots) const {
    return moved_buckets(dispatcher_.table(), table_for(config_, slots));
  }
  // The slot that a key of the bus belongs to now.
  [[nodiscard]] std::optional<SlotId> slot_of_key(std::string_view key) const;
  // The same of clients; nothing where the kernel gives them to the workers and we do not see them.
  [[nodiscard]] std::optional<MovedClients> would_move_clients(unsigned slots) const;
  // The front door of a listener of its own; null: it has none.
  [[nodiscard]] FrontDoor* door(std::string_view listener) const;
  // Who came most often by one without a door.
  [[nodiscard]] ClientsAnswer::Listener clients(std::string_view listener, std::size_t count) const;
  // Adds where a connection like this one would go, and why.
  void explain(const Arrival& arrival, RouteAnswer& answer) const;

 private:
  [[nodiscard]] bool may_be_steered(const ListenAddress& address) const;
  [[nodiscard]] Outcome share_listener(const std::string& name, const InTheWay& with);
  [[nodiscard]] FleetRunner::Hooks with_ours(FleetRunner::Hooks hooks);
  [[nodiscard]] std::vector<ListenerId> listeners_in(Listener::Stage stage) const;
  [[nodiscard]] bool revive(const ListenerConfig& listener);
  [[nodiscard]] bool is_held_by_workers(ListenerId listener) const;
  void begin_leaving(const std::vector<ListenerId>& listeners);
  void keep_change(const std::vector<ListenerId>& coming, const std::vector<ListenerId>& leaving,
                   const std::set<ListenerId>& handed_on);
  void undo_change(const std::vector<ListenerId>& coming, const std::vector<ListenerId>& leaving);
  void close(const std::vector<ListenerId>& listeners, const std::set<ListenerId>& handed_on);
  void finish_closing();
  void remove_left();
  void retire_door_of(ListenerId listener);
  void sweep_doors();
  [[nodiscard]] bool is_known_everywhere(ListenerId listener) const;
  void serve_listener(ListenerId listener);
  void let_in_again();
  enum class Shown { Open, All };
  void add_listeners_to(Status& status, Shown shown) const;
  void add_limits(ListenerId listener,
                  std::vector<std::string>& limits) const;               // that hold for who comes by it, in words
  [[nodiscard]] std::string why_paused(const Listener& listener) const;  // empty while it accepts

  Loop& loop_;
  PoolConfig config_;
  std::function<void()> keep_;  // what is so now, for who follows us if we are killed
  bool started_ = false;
  bool stopping_ = false;
  std::set<ListenerId> removed_;  // those that leave, and may be closed when no worker has their sockets
  bool removal_due_ = false;
  std::set<ListenerId> closing_;  // those to which nobody new comes
  std::vector<std::function<void()>> when_closed_;
  std::set<ListenerId> held_back_;              // those that come when other pools' workers know them
  std::map<ListenerId, ListenAddress> wished_;  // as configured, by which one that comes back is known
  Dispatcher dispatcher_;
  Steerer steerer_;
  FleetRunner runner_;
  std::vector<std::unique_ptr<FrontDoor>> doors_;
  Timer sweep_;   // while there are doors that are not needed any more, and somebody waits at them
  Timer closed_;  // for `closing_`
  struct Taken {
    ListenerId listener;
    AcceptedConnection connection;
  };
  std::vector<SavedDoor> doors_before_;  // of an earlier program, until ours hang
  std::vector<Taken> arriving_;          // which an earlier program has accepted, and which wait for their door
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is deferred looks whether we are
};

}  // namespace holdfast
