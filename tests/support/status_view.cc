#include "support/status_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace holdfast::test {

namespace {

using nlohmann::json;

template <class T>
T member(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return T{};
  const json& value = object[key];
  if constexpr (std::is_same_v<T, std::string>) {
    return value.is_string() ? value.get<std::string>() : T{};
  } else if constexpr (std::is_same_v<T, bool>) {
    return value.is_boolean() && value.get<bool>();
  } else {
    return value.is_number() ? value.get<T>() : T{};
  }
}

std::map<std::string, std::uint64_t> counts(const json& object, const char* key) {
  std::map<std::string, std::uint64_t> result;
  if (!object.is_object() || !object.contains(key) || !object[key].is_object()) return result;
  for (const auto& [reason, count] : object[key].items()) result[reason] = count.get<std::uint64_t>();
  return result;
}

json array(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_array() ? object[key] : json::array();
}

std::optional<double> maybe(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number()) return std::nullopt;
  return object[key].get<double>();
}

WorkerView worker_view(const json& worker) {
  return {member<pid_t>(worker, "pid"), member<std::string>(worker, "state"), member<std::uint64_t>(worker, "open"),
          maybe(worker, "draining_seconds"), maybe(worker, "ends_in_seconds")};
}

SlotView slot_view(const json& slot) {
  SlotView view;
  view.slot = member<unsigned>(slot, "slot");
  view.state = member<std::string>(slot, "state");
  view.pid = member<pid_t>(slot, "pid");
  view.generation = member<unsigned>(slot, "generation");
  view.restarts = member<std::uint64_t>(slot, "restarts");
  view.handed = member<std::uint64_t>(slot, "handed");
  view.waiting = member<std::uint64_t>(slot, "waiting");
  view.open = member<std::uint64_t>(slot, "open");
  view.lost = member<std::uint64_t>(slot, "lost");
  view.buckets = member<unsigned>(slot, "buckets");
  view.home_buckets = member<unsigned>(slot, "home_buckets");
  view.last_exit = member<std::string>(slot, "last_exit");
  view.health = member<std::string>(slot, "health");
  view.last_check = member<std::string>(slot, "last_check");
  for (const json& other : array(slot, "others")) view.others.push_back(worker_view(other));
  if (slot.contains("next_start_seconds") && slot["next_start_seconds"].is_number()) {
    view.next_start = slot["next_start_seconds"].get<double>();
  }
  return view;
}

ListenerView listener_view(const json& listener) {
  ListenerView view;
  view.name = member<std::string>(listener, "name");
  view.address = member<std::string>(listener, "address");
  view.accepted = member<std::uint64_t>(listener, "accepted");
  view.refused = counts(listener, "refused");
  view.paused = member<bool>(listener, "paused");
  return view;
}

}  // namespace

SlotView StatusView::slot(unsigned number) const { return number < slots.size() ? slots[number] : SlotView{}; }

std::uint64_t StatusView::refused_in_all() const {
  return std::accumulate(refused.begin(), refused.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& entry) { return sum + entry.second; });
}

std::uint64_t StatusView::restarts() const {
  return std::accumulate(slots.begin(), slots.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const SlotView& slot) { return sum + slot.restarts; });
}

std::vector<pid_t> StatusView::pids() const {
  std::vector<pid_t> result;
  for (const SlotView& slot : slots) result.push_back(slot.pid);
  return result;
}

bool StatusView::all_serving() const {
  return !slots.empty() && std::all_of(slots.begin(), slots.end(),
                                       [](const SlotView& slot) { return slot.state == "serving" && slot.pid > 0; });
}

StatusView view_of(std::string_view text) {
  StatusView view;
  const json status = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return view;
  view.json = status.dump(2);
  view.pid = member<pid_t>(status, "pid");
  view.state = member<std::string>(status, "state");
  view.uptime = member<double>(status, "uptime_seconds");
  for (const json& listener : array(status, "listeners")) view.listeners.push_back(listener_view(listener));
  const json pools = array(status, "pools");
  if (!pools.empty()) {
    for (const json& slot : array(pools[0], "slots")) view.slots.push_back(slot_view(slot));
  }
  view.accepted = member<std::uint64_t>(status, "accepted");
  view.checks = member<std::uint64_t>(status, "checks");
  view.handed = member<std::uint64_t>(status, "handed");
  view.waiting = member<std::uint64_t>(status, "waiting");
  view.refused = counts(status, "refused");
  return view;
}

}  // namespace holdfast::test
