#include <algorithm>
#include <utility>

#include "steering/steer_group.h"

namespace holdfast {

Result<std::unique_ptr<SteerGroup>> SteerGroup::adopt(Loop& loop, const GroupAddress& address, const Options& options,
                                                      const SavedGroup& saved, FdTable& fds, Hooks hooks) {
  using Role = SavedGroup::Socket::Role;
  if (saved.sockets.empty() || saved.sockets.front().role != Role::Control) {
    return Error{std::make_error_code(std::errc::invalid_argument), "take over the sockets of " + to_text(address)};
  }
  Result<UniqueFd> control = fds.take(saved.sockets.front().fd);
  if (!control) return std::move(control).error();
  Options with_owner = options;
  if (saved.of_service_manager) with_owner.activated = *control;
  std::unique_ptr<SteerGroup> group(
      new SteerGroup(loop, GroupSocket{*std::move(control), address}, with_owner, std::move(hooks)));
  group->slots_ = options.slots;
  group->index_.resize(2 * std::size_t{options.slots});
  group->certain_ = std::clamp<std::size_t>(saved.certain, 1, saved.sockets.size());
  group->stray_datagrams_ = saved.stray_datagrams;
  for (std::size_t i = 1; i < saved.sockets.size(); i++) {
    const SavedGroup::Socket& socket = saved.sockets[i];
    Result<UniqueFd> fd = fds.take(socket.fd);
    if (!fd) return std::move(fd).error();
    Socket& adopted = group->sockets_.emplace_back(Socket{*std::move(fd), Spare{}, nullptr});
    if (socket.role == Role::Seat && socket.seat < group->index_.size()) {
      adopted.role = Seat{socket.seat};
      group->index_[socket.seat] = static_cast<std::uint16_t>(i);
      if (address.transport == Transport::Stream) group->watch(adopted, FdWatcher::Interest::HangUp);
    } else if (socket.role != Role::Spare) {
      adopted.role = Adrift{};
      group->watch(adopted, FdWatcher::Interest::Readable);
    }
  }
  if (Outcome grown = group->grow(options.slots); !grown) return std::move(grown).error();
  return group;
}

SavedGroup SteerGroup::save(FdList& fds) const {
  using Role = SavedGroup::Socket::Role;
  SavedGroup saved{.domain = address_.domain,
                   .sockets = {},
                   .certain = certain_,
                   .stray_datagrams = stray_datagrams_,
                   .of_service_manager = control_owner_ == SocketOwner::ServiceManager};
  for (const Socket& socket : sockets_) {
    SavedGroup::Socket& written = saved.sockets.emplace_back();
    written.fd = fds.add("member", socket.fd);
    if (const Seat* const seat = std::get_if<Seat>(&socket.role)) {
      written.role = Role::Seat;
      written.seat = static_cast<unsigned>(*seat);
    } else if (std::holds_alternative<Control>(socket.role)) {
      written.role = Role::Control;
    } else {
      written.role = std::holds_alternative<Spare>(socket.role) ? Role::Spare : Role::Adrift;
    }
  }
  return saved;
}

}  // namespace holdfast
