#include <algorithm>
#include <utility>

#include "config/values.h"
#include "steerer.h"

namespace holdfast {

Outcome Steerer::adopt(const SavedPool& saved, FdTable& fds) {
  slots_.resize(std::max(slots_.size(), saved.turns.size()));
  for (std::size_t i = 0; i < saved.turns.size(); i++) {
    slots_[i].turn = saved.turns[i].turn == 0 ? Turn::First : Turn::Second;
    slots_[i].taken_over = saved.turns[i].taken_over;
  }
  for (const SavedSteered& listener : saved.steered) {
    if (Outcome adopted = adopt(listener, fds); !adopted) return adopted;
  }
  return Done{};
}

Outcome Steerer::adopt(const SavedSteered& saved, FdTable& fds) {
  const Result<ListenAddress> address = parse_listen_address(saved.address);
  if (!address) return address.error();
  const std::size_t index = listeners_.size();
  Listener& listener = listeners_.emplace_back();
  listener.id = saved.listener;
  listener.name = saved.name;
  listener.address = *address;
  listener.backlog = static_cast<int>(saved.backlog);
  listener.wanted = saved.wanted;
  SteerGroup::Options options;
  options.backlog = listener.backlog;
  options.slots = static_cast<unsigned>(slots_.size());
  for (const SavedGroup& group : saved.groups) {
    const std::optional<GroupAddress> bound = group_address(*address, group.domain);
    if (!bound) return Error{{}, "take over the sockets of " + saved.address};
    Result<std::unique_ptr<SteerGroup>> adopted =
        SteerGroup::adopt(loop_, *bound, options, group, fds, hooks_of(index, group.domain));
    if (!adopted) return std::move(adopted).error();
    listener.groups.push_back(*std::move(adopted));
  }
  return Done{};
}

void Steerer::save(SavedPool& saved, FdList& fds) const {
  for (const Slot& slot : slots_) saved.turns.push_back({slot.turn == Turn::First ? 0U : 1U, slot.taken_over});
  for (const Listener& listener : listeners_) {
    SavedSteered& written = saved.steered.emplace_back();
    written.listener = listener.id;
    written.name = listener.name;
    written.address = to_text(listener.address);
    written.backlog = listener.backlog;
    written.wanted = listener.wanted;
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) written.groups.push_back(group->save(fds));
  }
}

}  // namespace holdfast
