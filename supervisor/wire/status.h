#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "wire/bus_status.h"

namespace holdfast {

// What the supervisor tells of itself: the answer to `status`. A plain value; its JSON form is the contract with
// scripts (holdfast(1)).
struct ListenerStatus {
  std::string name;
  std::string address;  // as bound, with the real port
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> refused;  // reason -> connections
  bool paused = false;
  std::string paused_because;  // empty unless paused
  // Placed without what their first bytes should have told, and what limits that are only tried would have stopped: why -> connections
  std::map<std::string, std::uint64_t> missing = {};
  std::map<std::string, std::uint64_t> would_refuse = {};
};

struct WorkerStatus {
  std::int64_t pid = 0;
  std::string state;  // "starting", "serving", "draining", "stopping"
  std::uint32_t generation = 0;
  Duration age{};
  std::optional<std::uint64_t> open = {};     // connections that it has taken up and not closed; none: it does not tell
  std::optional<Duration> draining_for = {};  // since it was told to drain
  std::optional<Duration> ends_in = {};       // until it is sent SIGTERM (draining) or SIGKILL (stopping)
  std::string health = {};                    // "healthy", "unhealthy"; empty: it is not checked
  std::string last_check = {};                // "GET /healthz: 503 Service Unavailable"; empty: none has ended
  // Bytes of resident memory, those of its children among them; none: nobody has asked for a look at it (status_processes.h)
  std::optional<std::uint64_t> resident = {};
};

struct SlotStatus {
  std::uint32_t slot = 0;
  std::string state;                   // "starting", "serving", "backoff", "resting", "draining", "stopped"
  std::optional<WorkerStatus> worker;  // the incumbent
  std::vector<WorkerStatus> others;    // successor and departing workers
  std::uint64_t restarts = 0;
  std::uint64_t handed = 0;              // taken up by workers of this slot
  std::uint64_t waiting = 0;             // in the inbox or waiting for it
  std::uint64_t queued = 0;              // in the kernel's accept queues of the slot's own sockets (steer plane)
  std::uint64_t accepted = 0;            // from these by workers of the SDK, as they tell; others do not tell
  std::uint64_t open = 0;                // taken up and not closed yet, as the workers tell
  std::uint64_t lost = 0;                // dropped by the kernel at a worker's descriptor limit, as the workers tell
  std::uint64_t protocol_errors = 0;     // workers that broke the channel protocol and were replaced
  unsigned buckets = 0;                  // that the slot serves now
  unsigned home_buckets = 0;             // that belong to it
  std::optional<std::string> last_exit;  // "killed by signal 9 (SIGKILL)"
  std::optional<Duration> next_start;    // time until the next attempt, while in backoff or resting
};

struct PoolStatus {
  std::string name;
  std::vector<std::string> command;
  std::string intake;  // "sdk", "capture", ...; "auto" while that is open
  std::string plane;   // "pass", "steer", "self"; likewise
  std::vector<SlotStatus> slots;
  // Whether `handed`, `accepted` and `open` of the slots tell anything: workers to whom the kernel hands connections, and
  // who are not of the SDK, tell nobody how many.
  bool counts_connections = true;
  // Of Node.js workers: "cluster", "socket.io", ...; "auto" while that is open. Empty: they are none. How many connections
  // they have open Node.js does not tell.
  std::string node_dialect = {};
  std::uint64_t node_messages_dropped = 0;  // between these: for one that did not read its channel
};

struct Status {
  std::string name;
  std::string version;
  std::int64_t pid = 0;
  std::uint64_t epoch = 0;  // how often this process has become another program in place
  Duration uptime{};
  std::string state;        // "running", "stopping"
  std::string last_reload;  // what the last one changed, or why it did not; empty: there was none
  bool reload_failed = false;
  std::vector<ListenerStatus> listeners;
  std::vector<PoolStatus> pools;
  BusStatus bus;
  // accepted + checks = handed + waiting + sum of refused, over everything, always
  std::uint64_t accepted = 0;
  std::uint64_t checks = 0;  // connections that health checks have made
  std::uint64_t handed = 0;
  std::uint64_t waiting = 0;
  std::map<std::string, std::uint64_t> refused;
};

[[nodiscard]] std::string to_json(const Status& status);
// For the client side. Unknown members are ignored, missing ones keep their defaults; text that is not such an object
// is an error.
[[nodiscard]] Result<Status> parse_status(std::string_view json);

}  // namespace holdfast
