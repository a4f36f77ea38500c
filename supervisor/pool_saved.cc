#include <utility>

#include "config/values.h"
#include "pool.h"

namespace holdfast {

Outcome Pool::adopt(const SavedPool& saved, FdTable& fds) {
  if (Outcome adopted = dispatcher_.adopt(saved, fds); !adopted) return adopted;
  for (std::uint32_t i = 0; i < saved.listeners.size(); i++) {
    const Result<ListenAddress> wished = parse_listen_address(saved.listeners[i].wished);
    wished_[ListenerId{i}] = wished ? *wished : dispatcher_.listeners()[i]->address();
  }
  for (const ListenerId leaving : listeners_in(Listener::Stage::Leaving)) removed_.insert(leaving);
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
  remove_left();
}

SavedPool Pool::save(FdList& fds) const {
  SavedPool saved;
  saved.name = config_.name;
  dispatcher_.save(saved, fds);
  for (const auto& [listener, address] : wished_) saved.listeners[listener.value].wished = value_text(address);
  steerer_.save(saved, fds);
  runner_.save(saved, fds);
  return saved;
}

}  // namespace holdfast
