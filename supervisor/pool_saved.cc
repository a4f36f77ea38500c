#include <algorithm>
#include <utility>

#include "config/values.h"
#include "listener/census.h"
#include "pool.h"

namespace holdfast {

Outcome Pool::adopt(const SavedPool& saved, FdTable& fds) {
  if (Outcome adopted = dispatcher_.adopt(saved, fds); !adopted) return adopted;
  for (std::uint32_t i = 0; i < saved.listeners.size(); i++) {
    const Result<ListenAddress> wished = parse_listen_address(saved.listeners[i].wished);
    wished_[ListenerId{i}] = wished ? *wished : dispatcher_.listeners()[i]->address();
  }
  for (const SavedArrival& arrival : saved.arriving) {
    const std::optional<IpAddress> address = IpAddress::parse(arrival.sender);
    Endpoint sender;
    if (address) {
      sender = {address->is_v6() ? Endpoint::Family::V6 : Endpoint::Family::V4, *address,
                static_cast<std::uint16_t>(arrival.port)};
    }
    if (arrival.listener.value >= saved.listeners.size())
      return Error{{}, "take over what waits at a front door: it names a listener that there is not"};
    arriving_.push_back({arrival.listener, {fds.take_if_there(arrival.fd), sender}});
  }
  doors_before_ = saved.doors;
  for (const Listener::Stage stage : {Listener::Stage::Leaving, Listener::Stage::Closing}) {
    for (const ListenerId leaving : listeners_in(stage)) removed_.insert(leaving);
  }
  if (Outcome adopted = steerer_.adopt(saved, fds); !adopted) return adopted;
  return runner_.adopt(saved, fds);
}

void Pool::recount() {
  runner_.recount();
  Status status;
  add_to(status);
  std::uint64_t known = status.handed + status.waiting;
  for (const auto& [reason, count] : status.refused) known += count;
  if (dispatcher_.listeners().empty()) return;
  dispatcher_.listeners().front()->correct_accepted(static_cast<std::int64_t>(known - status.accepted));
}

void Pool::resume() {
  started_ = true;
  runner_.start();
  steerer_.start();
  dispatcher_.start();
  let_in_again();
  remove_left();
}

void Pool::let_in_again() {
  for (const SavedDoor& before : std::exchange(doors_before_, {})) {
    for (const std::unique_ptr<FrontDoor>& door : doors_) {
      if (door->listeners().front() == before.listener) door->recall(before);
    }
  }
  for (Taken& taken : std::exchange(arriving_, {})) {
    const auto door =
        std::find_if(doors_.begin(), doors_.end(), [&](const auto& each) { return each->is_for(taken.listener); });
    if (door != doors_.end() && taken.connection.fd) {
      (*door)->enter_again(taken.listener, std::move(taken.connection));
    } else {
      Listener& account = *dispatcher_.listeners()[taken.listener.value];
      account.count_refusal(taken.connection.fd ? Refusal::Removed : Refusal::Lost);
      if (taken.connection.fd) refuse_connection(std::move(taken.connection.fd));
    }
  }
}

void Pool::let_all_in() {
  for (const std::unique_ptr<FrontDoor>& door : doors_) door->let_all_in();
}

SavedPool Pool::save(FdList& fds, SavedFor what) const {
  SavedPool saved;
  saved.name = config_.name;
  dispatcher_.save(saved, fds);
  const std::size_t most_open = what == SavedFor::Upgrade ? Census::kMostSaved : Census::kMostKept;
  for (const std::unique_ptr<FrontDoor>& door : doors_) door->save(saved, fds, most_open);
  for (const auto& [listener, address] : wished_) saved.listeners[listener.value].wished = value_text(address);
  steerer_.save(saved, fds);
  runner_.save(saved, fds, what);
  return saved;
}

}  // namespace holdfast
