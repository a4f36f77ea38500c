#include "status_processes.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <vector>

#include "sys/resident_memory.h"
#include "sys/worker_sockets.h"

namespace holdfast {

namespace {

std::vector<std::uint16_t> ports_of(const std::vector<ListenerStatus>& listeners) {
  std::vector<std::uint16_t> ports;
  for (const ListenerStatus& listener : listeners) {
    const char* const end = listener.address.data() + listener.address.size();
    const std::size_t colon = listener.address.rfind(':');
    std::uint16_t port = 0;
    if (colon == std::string::npos) continue;
    const auto [stopped, error] = std::from_chars(listener.address.data() + colon + 1, end, port);
    if (error == std::errc{} && stopped == end) ports.push_back(port);  // else it is a path
  }
  return ports;
}

}  // namespace

void look_at_processes(Status& status) {
  const std::map<pid_t, std::uint64_t> resident = resident_by_group();
  const std::vector<std::uint16_t> ports = ports_of(status.listeners);
  const auto look_at = [&](WorkerStatus& worker) {
    const auto pid = static_cast<pid_t>(worker.pid);
    const auto group = resident.find(pid);
    if (group != resident.end()) worker.resident = group->second;
    if (worker.draining_for && !worker.open) worker.open = open_connections(pid, ports);
  };
  for (PoolStatus& pool : status.pools) {
    for (SlotStatus& slot : pool.slots) {
      if (slot.worker) look_at(*slot.worker);
      for (WorkerStatus& worker : slot.others) look_at(worker);
    }
  }
}

}  // namespace holdfast
