#include "steering/steer_group.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace holdfast {
namespace {

constexpr int kAcceptsAtOnce = 64;  // a turn of the loop has other things to do

std::size_t seat_of(SlotId slot, Turn turn) { return 2 * std::size_t{slot.value} + (turn == Turn::Second ? 1 : 0); }

SlotId slot_of(std::size_t seat) { return SlotId{static_cast<std::uint32_t>(seat / 2)}; }
Turn turn_of(std::size_t seat) { return seat % 2 == 0 ? Turn::First : Turn::Second; }

}  // namespace

Result<std::unique_ptr<SteerGroup>> SteerGroup::create(Loop& loop, const GroupAddress& address, const Options& options,
                                                       Hooks hooks) {
  Result<GroupSocket> control = options.activated ? share_control_socket(*options.activated, address)
                                                  : open_control_socket(address, options.backlog, options.sibling);
  if (!control) return std::move(control).error();
  std::unique_ptr<SteerGroup> group(new SteerGroup(loop, *std::move(control), options, std::move(hooks)));
  if (Outcome grown = group->grow(options.slots); !grown) return std::move(grown).error();
  return group;
}

SteerGroup::SteerGroup(Loop& loop, GroupSocket control, const Options& options, Hooks hooks)
    : loop_(loop),
      address_(control.bound),
      backlog_(options.backlog),
      control_owner_(options.activated ? SocketOwner::ServiceManager : SocketOwner::Us),
      hooks_(std::move(hooks)) {
  sockets_.push_back({std::move(control.fd), Control{}, nullptr});
  if (address_.transport == Transport::Datagram) watch(sockets_.front(), FdWatcher::Interest::Readable);
}

SteerGroup::~SteerGroup() = default;

Outcome SteerGroup::grow(unsigned slots) {
  slots_ = std::max(slots_, slots);
  index_.resize(2 * std::size_t{slots_});
  Outcome settled = settle();
  if (!replaced_.empty() || renumbered_) schedule_repair();
  return settled;
}

Outcome SteerGroup::attach(std::span<const BpfInstruction> program) { return attach_program(control(), program); }

void SteerGroup::close_to_new_clients() {
  if (address_.transport != Transport::Stream || control_owner_ == SocketOwner::ServiceManager) return;
  for (const Socket& socket : sockets_) holdfast::close_to_new_clients(socket.fd);
}

void SteerGroup::shut_down() {
  for (Socket& socket : sockets_) {
    socket.watcher.reset();
    const bool stays = std::holds_alternative<Control>(socket.role) && control_owner_ == SocketOwner::ServiceManager;
    if (address_.transport == Transport::Stream && !stays) expel(socket.fd);
  }
}

std::optional<BorrowedFd> SteerGroup::member(SlotId slot, Turn turn) const {
  const std::uint16_t at = index(slot, turn);
  if (at == 0) return std::nullopt;
  return BorrowedFd(sockets_[at].fd);
}

std::uint16_t SteerGroup::index(SlotId slot, Turn turn) const { return index_[seat_of(slot, turn)]; }

std::uint32_t SteerGroup::waiting(SlotId slot, Turn turn) const {
  const std::optional<BorrowedFd> fd = member(slot, turn);
  if (!fd) return 0;
  return address_.transport == Transport::Stream ? accept_queue_length(*fd) : receive_queue_bytes(*fd);
}

void SteerGroup::watch_waiting(SlotId slot, Turn turn, bool watched) {
  const std::uint16_t at = index(slot, turn);
  if (at == 0 || address_.transport == Transport::Datagram) return;
  Socket& socket = sockets_[at];
  if (socket.hung_up || std::exchange(socket.waiting_watched, watched) == watched) return;
  watch(socket, watched ? FdWatcher::Interest::Readable : FdWatcher::Interest::HangUp);
}

Result<std::variant<AcceptedConnection, AcceptStop>> SteerGroup::accept_from(SlotId slot, Turn turn) {
  const std::optional<BorrowedFd> fd = member(slot, turn);
  if (!fd) return std::variant<AcceptedConnection, AcceptStop>{AcceptStop::Empty};
  make_nonblocking(*fd);
  return accept_connection(*fd);
}

// Workers may leave while we add, so we look again afterwards. It ends: only sockets that workers hold can leave, and
// they hold none of the new ones.
Outcome SteerGroup::settle() {
  const std::vector<std::uint16_t> before = index_;
  Outcome filled = Done{};
  std::vector<bool> gone = find_gone();
  do {
    take_out(gone);
    filled = fill();
    gone = find_gone();
  } while (std::find(gone.begin(), gone.end(), true) != gone.end());
  certain_ = sockets_.size();

  for (Seat seat = 0; seat < before.size(); ++seat) {
    if (before[seat] != 0 && index_[seat] != before[seat]) renumbered_ = true;
  }
  return filled;
}

// Nothing else than shutdown, which UDP does not have, takes a socket out of the group while we hold it.
std::vector<bool> SteerGroup::find_gone() {
  std::vector<bool> gone(sockets_.size());
  if (address_.transport == Transport::Datagram) return gone;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const Socket& socket = sockets_[i];
    const bool ours = std::holds_alternative<Control>(socket.role) || std::holds_alternative<Spare>(socket.role);
    gone[i] = !ours && (socket.hung_up || !is_listening(socket.fd));
  }
  return gone;
}

// What the kernel did for each that left was to move the last one into its place. Nobody below the last ones moved; one
// hole has one filler; of several holes nobody knows which has which. What joined after the last look may have come
// before or after somebody left, and so may be anywhere too.
void SteerGroup::take_out(const std::vector<bool>& gone) {
  const auto left = static_cast<std::size_t>(std::count(gone.begin(), gone.end(), true));
  if (left == 0) return;
  const std::size_t unmoved = certain_ > left ? certain_ - left : 1;
  std::vector<Socket> loose;
  std::vector<Socket> next(sockets_.size() - left);
  std::vector<std::size_t> holes;
  bool certain = certain_ == sockets_.size();
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    Socket& socket = sockets_[i];
    if (gone[i]) {
      expel(socket.fd);
      lose_seat(socket);
      certain = certain && !std::holds_alternative<Adrift>(socket.role);
    } else if (i < unmoved) {
      next[i] = std::move(socket);
      continue;
    } else {
      loose.push_back(std::move(socket));
    }
    if (i < next.size()) holes.push_back(i);
  }
  certain = certain && holes.size() == 1;
  for (std::size_t i = 0; i < holes.size(); ++i) {
    Socket& filler = next[holes[i]] = std::move(loose[i]);
    if (!certain) {
      set_adrift(filler);
    } else if (const Seat* const seat = std::get_if<Seat>(&filler.role)) {
      index_[*seat] = static_cast<std::uint16_t>(holes[i]);
    }
  }
  sockets_ = std::move(next);
  certain_ = sockets_.size();
}

void SteerGroup::lose_seat(const Socket& socket) {
  const Seat* const seat = std::get_if<Seat>(&socket.role);
  if (seat == nullptr) return;
  index_[*seat] = 0;
  replaced_.push_back(*seat);
}

void SteerGroup::set_adrift(Socket& socket) {
  lose_seat(socket);
  socket.role = Adrift{};
  watch(socket, FdWatcher::Interest::Readable);
}

Outcome SteerGroup::fill() {
  for (Seat seat = 0; seat < index_.size(); ++seat) {
    if (index_[seat] != 0) continue;
    if (Outcome filled = fill(seat); !filled) return filled;
  }
  if (address_.transport == Transport::Datagram) return Done{};
  while (spares() < slots_) {
    if (Outcome added = add_spare(); !added) return added;
  }
  return Done{};
}

// The first spare of all: after a shutdown that is the one which the kernel has put into the hole.
Outcome SteerGroup::fill(Seat seat) {
  const auto is_spare = [](const Socket& socket) { return std::holds_alternative<Spare>(socket.role); };
  auto found = std::find_if(sockets_.begin(), sockets_.end(), is_spare);
  if (found == sockets_.end()) {
    if (Outcome added = add_spare(); !added) return added;
    found = sockets_.end() - 1;
  }
  found->role = seat;
  if (address_.transport == Transport::Stream) watch(*found, FdWatcher::Interest::HangUp);
  index_[seat] = static_cast<std::uint16_t>(found - sockets_.begin());
  return Done{};
}

Outcome SteerGroup::add_spare() {
  Result<UniqueFd> fd = open_member_socket(address_, backlog_);
  if (!fd) return std::move(fd).error();
  sockets_.push_back({*std::move(fd), Spare{}, nullptr});
  return Done{};
}

std::size_t SteerGroup::spares() const {
  return static_cast<std::size_t>(std::count_if(sockets_.begin(), sockets_.end(), [](const Socket& socket) {
    return std::holds_alternative<Spare>(socket.role);
  }));
}

void SteerGroup::watch(Socket& socket, FdWatcher::Interest interest) {
  if (!socket.watcher) {
    socket.watcher =
        std::make_unique<FdWatcher>(loop_, socket.fd, [this, fd = socket.fd.get()](FdWatcher::Ready) { on_ready(fd); });
  }
  socket.watcher->watch(interest);
}

void SteerGroup::on_ready(int fd) {
  const auto found =
      std::find_if(sockets_.begin(), sockets_.end(), [fd](const Socket& socket) { return socket.fd.get() == fd; });
  if (std::holds_alternative<Control>(found->role)) {
    stray_datagrams_ += discard_datagrams(found->fd);
    return;
  }
  if (const Seat* const seat = std::get_if<Seat>(&found->role)) {
    if (found->waiting_watched && is_listening(found->fd)) {
      return hooks_.on_waiting(slot_of(*seat), turn_of(*seat));
    }
    found->hung_up = true;
  }
  found->watcher->watch(FdWatcher::Interest::None);
  schedule_repair();
}

// Outside of the watchers' callbacks, because watchers are destroyed.
void SteerGroup::schedule_repair() {
  if (std::exchange(repair_due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) repair();
  });
}

void SteerGroup::repair() {
  repair_due_ = false;
  if (Outcome settled = settle(); !settled) {
    spdlog::error("{}; {} has too few listeners for its slots until it is tried again", settled.error().message(),
                  to_text(address_));
  }
  std::vector<AcceptedConnection> strays = accept_adrift();
  if (std::exchange(renumbered_, false)) hooks_.on_renumbered();
  for (const Seat seat : std::exchange(replaced_, {})) {
    hooks_.on_replaced(slot_of(seat), turn_of(seat));
  }
  for (AcceptedConnection& stray : strays) hooks_.on_stray(std::move(stray));
}

std::vector<AcceptedConnection> SteerGroup::accept_adrift() {
  std::vector<AcceptedConnection> strays;
  for (Socket& socket : sockets_) {
    if (!std::holds_alternative<Adrift>(socket.role)) continue;
    make_nonblocking(socket.fd);
    bool out_of_descriptors = false;
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      Result<std::variant<AcceptedConnection, AcceptStop>> accepted = accept_connection(socket.fd);
      if (!accepted) break;  // somebody has just shut it down: the watcher will say so
      if (const AcceptStop* const stop = std::get_if<AcceptStop>(&*accepted)) {
        out_of_descriptors = *stop == AcceptStop::NoFds || *stop == AcceptStop::NoMemory;
        break;
      }
      strays.push_back(std::get<AcceptedConnection>(*std::move(accepted)));
    }
    // It would stay readable, and we would spin: then it waits until the group is looked at again.
    socket.watcher->watch(out_of_descriptors ? FdWatcher::Interest::None : FdWatcher::Interest::Readable);
  }
  return strays;
}

}  // namespace holdfast
