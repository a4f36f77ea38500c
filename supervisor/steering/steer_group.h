#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/group_address.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/steering_program.h"
#include "loop/fd_watcher.h"
#include "sys/fd_table.h"
#include "sys/reuseport.h"
#include "sys/sockets.h"
#include "wire/saved_state.h"

namespace holdfast {

// A slot has two sockets in a group. Its occupants take them in turn, so that a successor has a queue of its own and
// nothing is closed when the incumbent goes.
enum class Turn : std::uint8_t { First, Second };
[[nodiscard]] constexpr Turn other(Turn turn) { return turn == Turn::First ? Turn::Second : Turn::First; }

// The sockets of one listener in the steer plane: one reuseport group of the kernel, in which a program chooses the
// socket of every new connection or datagram by its index.
//
//   index 0     the control socket: ours alone. Whoever the program sends nowhere else comes here.
//   then        the members, two for each slot
//   at the end  spares (TCP): listeners that nobody names and nobody holds, one for each slot
//
// From its creation the group has a program; the first one sends everybody to the control socket. The sockets live as
// long as the group, whatever happens to the workers: what waits in one is there for the next occupant of its slot.
//
// A worker may shut its TCP listener down (many programs do when they stop). The kernel then takes the listener out, with
// what waited there, and moves the *last* one of the group into its place. The last one is a spare. So no other slot is
// touched, and at that very moment the slot has a new socket at its old index, which keeps the new connections: all that
// is left to do is to write it down, and to open another spare. The old socket is out for good, also for the worker that
// still holds it.
//
// If several do it before we look, nobody can tell which spare went where. Then each of these slots gets yet another
// socket, at an index that is certain, and the owner must attach a new program; the spares that are adrift stay in the
// group, unnamed, and what came to them meanwhile is given to the owner. If there were not spares enough, live members
// are adrift in the same way.
//
// What this cannot see: a worker that shuts its listener down and listens again in one breath, and a process of the same
// user that binds the address with SO_REUSEPORT. Both move indexes behind our back: a worker that holds a listener is
// trusted.
//
// To retire a group attach constant_program(0), accept what waits everywhere, and let it shut down.
class SteerGroup {
 public:
  struct Options {
    int backlog = 0;
    unsigned slots = 0;
    Sibling sibling = Sibling::None;
    // The control socket, if a service manager opened it (`check_can_be_steered`): a description of it is kept. It is never
    // shut down.
    std::optional<BorrowedFd> activated = std::nullopt;
  };
  // Called from the loop, never from inside a call of ours, and all must be set. The group must not be destroyed in them.
  struct Hooks {
    // The socket was shut down, or is adrift: `member` is another one from now on. The worker that holds the old one gets
    // no new connection.
    std::function<void(SlotId, Turn)> on_replaced;
    // An index has changed: compile and attach at once.
    std::function<void()> on_renumbered;
    // Something waits at a socket that the owner watches.
    std::function<void(SlotId, Turn)> on_waiting;
    // A connection that came to a socket adrift. It belongs to where the table says.
    std::function<void(AcceptedConnection)> on_stray;
  };

  // Errors: those of open_control_socket and open_member_socket; EMFILE, ENFILE.
  [[nodiscard]] static Result<std::unique_ptr<SteerGroup>> create(Loop& loop, const GroupAddress& address,
                                                                  const Options& options, Hooks hooks);
  // Goes on with the sockets of another one, `options.slots` as there were then at least. Who has left the group meanwhile is
  // found out. The program is still in force. Errors: a socket that is not there.
  [[nodiscard]] static Result<std::unique_ptr<SteerGroup>> adopt(Loop& loop, const GroupAddress& address,
                                                                 const Options& options, const SavedGroup& saved,
                                                                 FdTable& fds, Hooks hooks);
  [[nodiscard]] SavedGroup save(FdList& fds) const;
  ~SteerGroup();
  SteerGroup(const SteerGroup&) = delete;
  SteerGroup& operator=(const SteerGroup&) = delete;

  // Sockets for more slots; no index changes. After an error what was opened is kept, and the next call goes on: also to
  // be called with the present number, if a slot is left without a socket.
  [[nodiscard]] Outcome grow(unsigned slots);
  // In one step; see attach_program for the errors. A program that is refused leaves the old one in force.
  [[nodiscard]] Outcome attach(std::span<const BpfInstruction> program);

  // As the function of that name in sys/sockets.h, for all its sockets (TCP), unless a service manager has them too.
  void close_to_new_clients();
  // Nobody listens there any more, workers that still have a socket of it included (TCP). What waits is reset. Then it is
  // only to be destroyed.
  void shut_down();

  [[nodiscard]] const GroupAddress& address() const { return address_; }  // with the port that the kernel chose
  [[nodiscard]] unsigned slots() const { return slots_; }
  // Ours: to be watched and accepted from by the owner (TCP). Datagrams that come here are counted and thrown away.
  [[nodiscard]] BorrowedFd control() const { return sockets_.front().fd; }
  // The socket for a worker. Nothing only after a replacement for which no descriptor was free.
  [[nodiscard]] std::optional<BorrowedFd> member(SlotId slot, Turn turn) const;
  // What a program names. Without a socket it is that of the control socket.
  [[nodiscard]] std::uint16_t index(SlotId slot, Turn turn) const;

  // What waits at the socket: connections for TCP, bytes of the kernel's account for UDP.
  [[nodiscard]] std::uint32_t waiting(SlotId slot, Turn turn) const;
  // Whether the owner is told that something waits there, as long as it does (TCP).
  void watch_waiting(SlotId slot, Turn turn, bool watched);
  // Takes a connection that waits there; see accept_connection. Only while no worker holds the socket: its flags are
  // changed, and it would race for the connection.
  [[nodiscard]] Result<std::variant<AcceptedConnection, AcceptStop>> accept_from(SlotId slot, Turn turn);

  [[nodiscard]] std::uint64_t stray_datagrams() const { return stray_datagrams_; }
  [[nodiscard]] std::size_t size() const { return sockets_.size(); }  // sockets in the group, of all kinds

 private:
  using Seat = std::size_t;  // two for each slot
  struct Control {};
  struct Spare {};
  struct Adrift {};  // in the group, but nobody knows at which of several indexes
  struct Socket {
    UniqueFd fd;
    std::variant<Control, Seat, Spare, Adrift> role;
    std::unique_ptr<FdWatcher> watcher;  // absent while there is nothing to hear
    bool hung_up = false;
    bool waiting_watched = false;  // a seat of which the owner wants to know that something waits
  };

  SteerGroup(Loop& loop, GroupSocket control, const Options& options, Hooks hooks);
  // The sockets as they should be: nobody in the group who has left it, one for each seat, and the spares.
  [[nodiscard]] Outcome settle();
  [[nodiscard]] std::vector<bool> find_gone();
  void take_out(const std::vector<bool>& gone);
  void set_adrift(Socket& socket);
  void lose_seat(const Socket& socket);
  [[nodiscard]] Outcome fill();
  [[nodiscard]] Outcome fill(Seat seat);
  [[nodiscard]] Outcome add_spare();
  [[nodiscard]] std::size_t spares() const;

  void watch(Socket& socket, FdWatcher::Interest interest);
  void on_ready(int fd);
  void schedule_repair();
  void repair();
  [[nodiscard]] std::vector<AcceptedConnection> accept_adrift();

  Loop& loop_;
  const GroupAddress address_;
  const int backlog_;
  const SocketOwner control_owner_;
  const Hooks hooks_;
  unsigned slots_ = 0;
  std::vector<std::uint16_t> index_;  // by seat; 0: it has no socket
  std::vector<Socket> sockets_;       // by index in the group
  std::size_t certain_ = 1;           // so many were in the group when it was last seen that nobody had left it
  std::vector<Seat> replaced_;        // what the owner is still to be told
  bool renumbered_ = false;
  bool repair_due_ = false;
  std::uint64_t stray_datagrams_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is deferred looks whether we are
};

}  // namespace holdfast
