#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/ids.h"
#include "core/intake.h"
#include "core/managed_address.h"
#include "core/stall.h"
#include "dispatcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "steering/steer_group.h"
#include "sys/fd_table.h"
#include "wire/saved_state.h"

namespace holdfast {

// The steer plane of a pool: each slot has sockets of its own at every listener, and the kernel chooses by a program that
// is made of the dispatcher's routes. The sockets belong to us: what waits at that of a dead worker is there for the next.
//
// A connection that waits where no worker will take it up is accepted here and given to the dispatcher, which passes it
// on where the workers take connections from their channel, and otherwise resets and counts it. That is so
//   - everywhere, once the pool turns out to be in the pass plane: then the program sends everybody to the dispatcher;
//   - at the socket of a worker that was replaced, from its end on (and from its drain on, if its successor can be
//     passed what comes too late);
//   - at the socket of a slot whose buckets are lent.
class Steerer {
 public:
  // `on_stalled`: the worker of a slot has stopped (or begun again) to accept, although it lives.
  using OnStalled = std::function<void(SlotId, bool)>;
  Steerer(Loop& loop, Dispatcher& dispatcher, const PoolConfig& pool, HashKey hash_key, OnStalled on_stalled);
  ~Steerer();

  // Opens the sockets of a listener that the dispatcher is about to be given under `id`, and answers what it is given:
  // the control socket of a TCP listener, and for UDP only an address. Errors: those of listen_on, and
  // `is_steering_refused`.
  [[nodiscard]] Result<ListeningSocket> open(ListenerId id, const std::string& name, const ListenAddress& address,
                                             int backlog, Sibling sibling);
  // The same with a socket that a service manager has opened (`check_can_be_steered`) as the control socket.
  [[nodiscard]] Result<ListeningSocket> open_beside(ListenerId id, const std::string& name,
                                                    const ListeningSocket& activated, int backlog);
  // Whether `open` failed because the system has no programs for reuseport groups.
  [[nodiscard]] static bool is_steering_refused(const Error& error);
  void start();

  // The sockets of all listeners and whose turn it is: goes on where another one has stopped, before `start`.
  [[nodiscard]] Outcome adopt(const SavedPool& saved, FdTable& fds);
  void save(SavedPool& saved, FdList& fds) const;

  // What the workers have turned out to be; the pass plane means that programs send everybody to the dispatcher, but
  // for datagrams, which cannot be passed.
  void settle(Intake intake, Plane plane);
  // Those of a listener's sockets that no worker wants, because the first one has bound those of another family, are
  // closed: their clients are to be refused, not to wait for nobody. `elsewhere` ends the warning about a listener that
  // nobody has bound: where the workers listen instead.
  void retire_unwanted(std::string_view elsewhere);
  // As the dispatcher's, for one that no worker has sockets of.
  void close_to_new_clients(ListenerId listener);
  // The end of a listener, here and in the dispatcher: what waits is served or refused by its stage, and then nobody listens
  // there. No worker that lives on may have sockets of it: they would turn dead in its hands.
  void remove_listener(ListenerId listener);
  // A listener that was leaving comes again: who knew it counts no more.
  void forget_knowledge(ListenerId listener);
  // There are sockets for so many slots at least; of slots that leave they stay, and what comes there is ours.
  [[nodiscard]] Outcome grow(unsigned slots);
  void set_hash_key(HashKey key);
  // The dispatcher's routes have changed: the kernel is told after the callback that is running, or by `catch_up`.
  void refresh();
  void catch_up();
  // No new client: what waits is served as long as workers live.
  void begin_stop();
  // Nobody is left: what waits is reset, and everything is closed.
  void close();

  // The occupants of a slot. A worker holds the sockets of one turn.
  void occupy(SlotId slot, Turn turn);
  void vacate(SlotId slot, Turn turn);
  // New clients of the slot come to this turn from now on.
  void choose(SlotId slot, Turn turn);
  [[nodiscard]] Turn turn(SlotId slot) const { return slots_[slot.value].turn; }
  // What still comes to a turn that is no longer chosen is not for its worker any more.
  void take_over(SlotId slot, Turn turn);
  void set_lent(SlotId slot, bool lent);

  struct GivenSocket {
    ListenerId listener;
    std::string name;
    BorrowedFd fd;
    Transport transport;
  };
  // One for each steered listener that has come to stay, for a worker that inherits them.
  [[nodiscard]] std::vector<GivenSocket> sockets(SlotId slot, Turn turn);
  // The addresses of the steered listeners, for capture. Its indexes are those of `socket_for`. One that leaves has an address
  // that nobody can mean.
  [[nodiscard]] std::vector<ManagedAddress> managed() const;
  [[nodiscard]] std::optional<std::size_t> managed_index(ListenerId listener) const;
  // Whether the slots have sockets of their own for the listener.
  [[nodiscard]] bool is_steered(ListenerId listener) const { return managed_index(listener).has_value(); }
  [[nodiscard]] Result<BorrowedFd> socket_for(std::size_t managed, SocketDomain domain, SlotId slot, Turn turn);
  [[nodiscard]] const std::string& name_of(std::size_t managed) const { return listeners_[managed].name; }
  [[nodiscard]] bool is_datagram(std::size_t managed) const;
  [[nodiscard]] bool has_datagrams() const;  // whether one of its listeners is of UDP

  [[nodiscard]] std::vector<std::uint16_t> ports() const;  // of the TCP listeners

  [[nodiscard]] bool empty() const;  // no listener has sockets
  [[nodiscard]] Plane plane() const { return plane_; }
  // Whether new clients may come to this turn of the slot.
  [[nodiscard]] bool is_chosen(SlotId slot, Turn turn) const;
  // What waits at all listeners; not 0 if anything does (datagrams are counted in bytes).
  [[nodiscard]] std::uint64_t waiting(SlotId slot, Turn turn) const;
  [[nodiscard]] std::uint64_t queued(SlotId slot) const;  // connections that wait, in both turns

 private:
  struct Listener {
    ListenerId id;
    std::string name;
    ListenAddress address;  // as bound
    int backlog;
    std::vector<std::unique_ptr<SteerGroup>> groups;  // one for each family; at first the natural one alone
    std::vector<SocketDomain> wanted;                 // families that a worker has bound
    std::map<SlotId, Turn> known_at{};                // while it comes: the turns whose workers know it
  };
  struct Slot {
    Turn turn = Turn::First;
    std::array<unsigned, 2> users{};   // workers that hold the sockets of each turn
    std::array<bool, 2> taken_over{};  // although a worker still has them
    bool lent = false;
    Stall stall;                // of the worker that has the present turn
    bool told_stalled = false;  // what on_stalled_ was told last
  };

  [[nodiscard]] SteerGroup::Hooks hooks_of(std::size_t listener, SocketDomain domain);
  [[nodiscard]] Outcome adopt(const SavedSteered& saved, FdTable& fds);
  [[nodiscard]] Result<std::unique_ptr<SteerGroup>> make_group(std::size_t listener, SocketDomain domain,
                                                               Sibling sibling,
                                                               std::optional<BorrowedFd> activated = std::nullopt);
  [[nodiscard]] Result<ListeningSocket> add(std::unique_ptr<SteerGroup> group);
  [[nodiscard]] holdfast::Listener::Stage stage_of(const Listener& listener) const;
  [[nodiscard]] bool is_leaving(const Listener& listener) const;
  [[nodiscard]] Turn turn_for(const Listener& listener, SlotId slot) const;
  [[nodiscard]] std::vector<BpfInstruction> program_for(const Listener& listener, const SteerGroup& group) const;
  void attach_everywhere();
  [[nodiscard]] Outcome attach_whole_or_fewer(const Listener& listener, SteerGroup& group);
  void attach(Listener& listener, SteerGroup& group);
  [[nodiscard]] bool fall_back(const Error& error);
  [[nodiscard]] bool is_ours(const Listener& listener, SlotId slot, Turn turn) const;
  void watch();
  void drain(std::size_t listener, SocketDomain domain, SlotId slot, Turn turn);
  void drain(const Listener& listener, SteerGroup& group, SlotId slot, Turn turn);
  void retire(const Listener& listener, SteerGroup& group);
  void drain_all(const Listener& listener, SteerGroup& group);
  void note_knowledge(SlotId slot, Turn turn);
  void sample();

  Loop& loop_;
  Dispatcher& dispatcher_;
  const PoolConfig& pool_;
  HashKey hash_key_;
  const OnStalled on_stalled_;
  std::optional<Intake> intake_;
  Plane plane_ = Plane::Steer;
  std::vector<Listener> listeners_;
  std::vector<Slot> slots_;
  bool refresh_due_ = false;
  Timer sampling_;
  Timer retry_;  // of accepting, after a failure that time heals
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace holdfast
