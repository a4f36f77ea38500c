#include "ctl/render_status.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNameWidth = 20;
constexpr std::size_t kAddressWidth = 47;  // the longest of IPv6 with its port; a longer path of a socket is cut

using Reasons = std::map<std::string, std::uint64_t>;

std::uint64_t sum(const Reasons& refused) {
  return std::accumulate(refused.begin(), refused.end(), std::uint64_t{0},
                         [](std::uint64_t total, const auto& reason) { return total + reason.second; });
}

// "queue full 2, timeout 1"
std::string reasons_text(const Reasons& counts) {
  std::string text;
  for (const auto& [reason, count] : counts) {
    if (count > 0) text += (text.empty() ? "" : ", ") + reason + " " + short_count(count);
  }
  return text;
}

// "3 (queue full 2, timeout 1)"
std::string refused_text(const Reasons& refused) {
  const std::string reasons = reasons_text(refused);
  return short_count(sum(refused)) + (reasons.empty() ? "" : " (" + reasons + ")");
}

Style style_of(std::string_view state) {
  if (state == "serving" || state == "running") return Style::Good;
  if (state == "backoff" || state == "resting") return Style::Bad;
  if (state == "stopped") return Style::Dim;
  return Style::Warning;
}

std::string head_line(const Status& status, Colours colours) {
  return styled("holdfast " + fitted(status.name, kNameWidth), Style::Bold, colours) + "  " +
         styled(fitted(status.state, kNameWidth), style_of(status.state), colours) + "  pid " +
         std::to_string(status.pid) + "  up " + short_duration(status.uptime) + "  version " +
         fitted(status.version, kNameWidth) + (status.epoch > 0 ? "  epoch " + std::to_string(status.epoch) : "") +
         "\n";
}

std::string listener_table(const std::vector<ListenerStatus>& listeners, Colours colours) {
  Table table({{"LISTENER"}, {"ADDRESS"}, {"ACCEPTED", Table::Align::Right}, {"STATE"}, {"REFUSED"}});
  for (const ListenerStatus& listener : listeners) {
    const std::uint64_t refused = sum(listener.refused);
    table.add({{fitted(listener.name, kNameWidth)},
               {fitted(listener.address, kAddressWidth)},
               {short_count(listener.accepted)},
               {listener.paused ? "paused" : "accepting", listener.paused ? Style::Warning : Style::Good},
               {refused_text(listener.refused), refused > 0 ? Style::Warning : Style::Plain}});
  }
  return table.text(colours);
}

std::string pause_lines(const std::vector<ListenerStatus>& listeners, Colours colours) {
  std::string lines;
  for (const ListenerStatus& listener : listeners) {
    if (!listener.paused || listener.paused_because.empty()) continue;
    const std::string line = fitted(listener.name, kNameWidth) + " is paused: " + listener.paused_because;
    lines += styled(fitted(line, Table::kLineWidth), Style::Warning, colours) + "\n";
  }
  return lines;
}

// What limits that are only tried would have done.
std::string dry_run_lines(const std::vector<ListenerStatus>& listeners) {
  std::string lines;
  for (const ListenerStatus& listener : listeners) {
    if (sum(listener.would_refuse) == 0) continue;
    const std::string line = fitted(listener.name, kNameWidth) +
                             " would have kept out, but for its dry run: " + reasons_text(listener.would_refuse);
    lines += fitted(line, Table::kLineWidth) + "\n";
  }
  return lines;
}

std::string pool_line(const PoolStatus& pool, Colours colours) {
  const std::string dialect = pool.node_dialect.empty() ? "" : " (" + pool.node_dialect + ")";
  std::string line = "  " + pool.intake + " intake" + dialect + ", " + pool.plane + " plane ";
  for (const std::string& word : pool.command) line += " " + word;
  const std::string name = fitted(pool.name, kNameWidth);
  return styled("pool " + name, Style::Bold, colours) + fitted(line, Table::kLineWidth - name.size() - 5) + "\n";
}

// "12s, 18s left"
std::string drain_text(const WorkerStatus& worker) {
  std::string text = worker.draining_for ? short_duration(*worker.draining_for) : "";
  if (worker.ends_in) text += (text.empty() ? "" : ", ") + short_duration(*worker.ends_in) + " left";
  return text;
}

void add_worker(Table& table, const WorkerStatus& worker) {
  table.add({{""},
             {worker.state, style_of(worker.state)},
             {std::to_string(worker.pid)},
             {std::to_string(worker.generation)},
             {short_duration(worker.age)},
             {worker.resident ? short_bytes(*worker.resident) : ""},
             {""},
             {""},
             {""},
             {worker.open ? short_count(*worker.open) : ""},
             {""},
             {drain_text(worker)}});
}

std::string buckets_text(const SlotStatus& slot) {
  if (slot.buckets == slot.home_buckets) return std::to_string(slot.buckets);
  return std::to_string(slot.buckets) + "/" + std::to_string(slot.home_buckets);  // some are lent, or borrowed
}

// What should never be (connections lost at a worker's descriptor limit, garbage on its channel), and how the last worker ended.
Cell exit_cell(const SlotStatus& slot) {
  std::string text;
  if (slot.lost > 0) text += "lost " + short_count(slot.lost) + ", ";
  if (slot.protocol_errors > 0) text += "garbage " + short_count(slot.protocol_errors) + ", ";
  text += slot.last_exit ? short_exit(*slot.last_exit) : "-";
  return {std::move(text), slot.lost > 0 || slot.protocol_errors > 0 ? Style::Bad : Style::Plain};
}

std::string account_line(const PoolStatus& pool, Colours colours) {
  if (pool.counts_connections || pool.plane != "steer") return "";
  return styled("the kernel hands connections to these workers, which tell nobody how many", Style::Dim, colours) +
         "\n";
}

void add_slot(Table& table, const SlotStatus& slot, bool tells, bool tells_open) {
  const std::string wait = slot.next_start ? " " + short_duration(*slot.next_start) : "";
  table.add({{std::to_string(slot.slot)},
             {slot.state + wait, style_of(slot.state)},
             {slot.worker ? std::to_string(slot.worker->pid) : "-"},
             {slot.worker ? std::to_string(slot.worker->generation) : "-"},
             {slot.worker ? short_duration(slot.worker->age) : "-"},
             {slot.worker && slot.worker->resident ? short_bytes(*slot.worker->resident) : "-"},
             {short_count(slot.restarts), slot.restarts > 0 ? Style::Warning : Style::Plain},
             {tells ? short_count(slot.handed + slot.accepted) : "-"},
             {short_count(slot.waiting + slot.queued)},
             {tells_open ? short_count(slot.open) : "-"},
             {buckets_text(slot), slot.buckets == slot.home_buckets ? Style::Plain : Style::Warning},
             exit_cell(slot)});
  for (const WorkerStatus& worker : slot.others) add_worker(table, worker);
}

// Who is ill, and why.
std::string health_lines(const PoolStatus& pool, Colours colours) {
  std::string lines;
  for (const SlotStatus& slot : pool.slots) {
    if (!slot.worker || slot.worker->health != "unhealthy") continue;
    const std::string line = "slot " + std::to_string(slot.slot) + " is unhealthy: " + slot.worker->last_check;
    lines += styled(fitted(line, Table::kLineWidth), Style::Bad, colours) + "\n";
  }
  return lines;
}

std::string slot_table(const PoolStatus& pool, Colours colours) {
  using enum Table::Align;
  Table table({{"SLOT", Right},
               {"STATE"},
               {"PID", Right},
               {"GEN", Right},
               {"AGE", Right},
               {"MEM", Right},
               {"RESTARTS", Right},
               {"HANDED", Right},
               {"WAIT", Right},
               {"OPEN", Right},
               {"BUCKETS", Right},
               {"LAST EXIT"}});
  const bool tells_open = pool.counts_connections && pool.node_dialect.empty();
  for (const SlotStatus& slot : pool.slots) add_slot(table, slot, pool.counts_connections, tells_open);
  return table.text(colours);
}

// Exact numbers: this line is there to be checked.
std::string total_line(const Status& status, Colours colours) {
  const std::uint64_t refused = sum(status.refused);
  const bool agrees = status.accepted + status.checks == status.handed + status.waiting + refused;
  return "total  accepted " + std::to_string(status.accepted) +
         (status.checks > 0 ? " + checks " + std::to_string(status.checks) : "") +
         (agrees ? " = " : styled(" != ", Style::Bad, colours)) + "handed " + std::to_string(status.handed) +
         " + waiting " + std::to_string(status.waiting) + " + refused " + std::to_string(refused) + "\n";
}

// Only where somebody uses it.
std::string bus_line(const BusStatus& bus, Colours colours) {
  const FleetLinkStatus& fleet = bus.fleet;
  if (bus.members.empty() && bus.published == 0 && fleet.redis.empty()) return "";
  const std::string dropped = "dropped " + std::to_string(bus.dropped);
  std::string line = "\nbus  published " + std::to_string(bus.published) + "  delivered " +
                     std::to_string(bus.delivered) + "  " +
                     (bus.dropped > 0 ? styled(dropped, Style::Warning, colours) : dropped);
  if (bus.undelivered > 0) line += "  undelivered " + std::to_string(bus.undelivered);
  if (bus.retained > 0) line += "  kept " + std::to_string(bus.retained);
  for (const BusMemberStatus& member : bus.members) {
    if (member.is_off) line += "\n  " + styled(member.worker + " is off the bus", Style::Bad, colours);
  }
  if (!fleet.redis.empty()) {
    line += "\nfleet  " + fleet.redis + "  sent " + std::to_string(fleet.sent) + "  received " +
            std::to_string(fleet.received) + "  missing " + std::to_string(fleet.missing) + "  unsent " +
            std::to_string(fleet.unsent);
    std::string more;
    const auto add = [&](const char* name, std::uint64_t count) {
      if (count > 0) more += std::string("  ") + name + " " + std::to_string(count);
    };
    add("waiting", fleet.waiting);
    add("malformed", fleet.malformed);
    add("reconnects", fleet.reconnects);
    if (!more.empty()) line += "\n" + more;
    if (!fleet.trouble.empty()) line += "\n  " + styled("away: ", Style::Bad, colours) + fleet.trouble;
    if (!fleet.stream_trouble.empty()) line += "\n  " + styled("stream: ", Style::Bad, colours) + fleet.stream_trouble;
    for (const std::string& machine : fleet.machines) line += "\n  hears " + machine;
  }
  return line + "\n";
}

std::string two_units(std::int64_t large, const char* large_unit, std::int64_t small, const char* small_unit) {
  return std::to_string(large) + large_unit + (small > 0 ? " " + std::to_string(small) + small_unit : "");
}

}  // namespace

std::string render_status(const Status& status, Colours colours) {
  std::string out = head_line(status, colours) + "\n" + listener_table(status.listeners, colours) +
                    pause_lines(status.listeners, colours) + dry_run_lines(status.listeners);
  for (const PoolStatus& pool : status.pools) {
    out += "\n" + pool_line(pool, colours) + slot_table(pool, colours) + account_line(pool, colours) +
           health_lines(pool, colours);
  }
  if (status.reload_failed)
    out += "\n" + styled("last reload failed: ", Style::Bad, colours) + status.last_reload + "\n";
  out += bus_line(status.bus, colours);
  return out + "\n" + total_line(status, colours);
}

std::string short_duration(Duration duration) {
  const auto count = [&](Duration unit) { return duration / unit; };
  const auto rest = [&](Duration unit, Duration within) { return duration % within / unit; };
  if (duration < 1s) return std::to_string(std::max<std::int64_t>(count(1ms), 0)) + "ms";
  if (duration < 1min) return std::to_string(count(1s)) + "s";
  if (duration < 1h) return two_units(count(1min), "m", rest(1s, 1min), "s");
  if (duration < 24h) return two_units(count(1h), "h", rest(1min, 1h), "m");
  return two_units(count(24h), "d", rest(1h, 24h), "h");
}

std::string short_count(std::uint64_t count) {
  if (count < 1'000'000) return std::to_string(count);
  constexpr std::array<const char*, 5> kUnits = {"M", "G", "T", "P", "E"};
  double value = static_cast<double>(count) / 1e6;
  std::size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1e3;
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "%.1f%s", value, kUnits[unit]);
  return text.data();
}

std::string short_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"K", "M", "G", "T", "P"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "%.*f%s", unit > 0 && value < 9.95 ? 1 : 0, value, kUnits[unit]);
  return text.data();
}

std::string short_exit(const std::string& last_exit) {
  constexpr std::string_view kExited = "exited with ";
  if (last_exit.starts_with(kExited)) return last_exit.substr(kExited.size(), last_exit.find(':') - kExited.size());
  const std::size_t open = last_exit.find("(SIG");
  const std::size_t close = last_exit.find(')', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return last_exit;
  const bool has_core = last_exit.find("core", close) != std::string::npos;
  return last_exit.substr(open + 1, close - open - 1) + (has_core ? ", core" : "");
}

}  // namespace holdfast
