#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/fleet.h"
#include "core/ids.h"
#include "core/intake.h"
#include "core/result.h"
#include "core/socket_kind.h"
#include "core/time.h"
#include "wire/saved_bus.h"
#include "wire/saved_connection.h"
#include "wire/saved_node.h"

namespace holdfast {

// Everything that a supervisor must know to go on where another one stopped: after an exec of another binary, or in a new
// process to which somebody has kept the descriptors. A plain value; its JSON is the contract between versions.
//
// A member that is not known is ignored, and one that is missing has the default that stands here: so both an older and a
// newer program can go on. What must not be ignored is named in `needs`: a program that does not know one of these words refuses.
//
// Descriptors are named. A name stands for one open file for as long as that lives (sys/fd_table.h), is ASCII without ':'
// and much shorter than 255 bytes, so that systemd's store takes it. An empty name: there is none. Times are those of
// CLOCK_MONOTONIC, which is why a state is good for one boot only.

// A connection at a front door: its first bytes are not all there yet.
struct SavedArrival {
  std::string fd;
  ListenerId listener;
  std::string sender;  // the other end's address; empty: a Unix client
  std::uint64_t port = 0;
};

// What a front door remembers of a source of connections (core/admission.h).
struct SavedSource {
  std::string address;
  TimePoint full_at{};
  TimePoint refused_since{};
  TimePoint banned_until{};
  std::uint64_t refusals = 0;
  std::uint64_t seen = 0;
};
struct SavedDoor {
  ListenerId listener;
  std::vector<SavedSource> sources;  // in the order in which they were seen
  std::map<std::string, std::uint64_t> missing;
  std::map<std::string, std::uint64_t> would_refuse;
  // Open connections by both their ends (core/open_connections.h): of each source, where that is counted, and of all that came by the
  // listener. Not more than a bound: of those beyond nothing is known.
  std::map<std::string, std::vector<std::string>> open_of_sources = {};
  std::vector<std::string> open = {};
};

// A channel, its page, and the account of both (worker/inbox.h).
struct SavedInbox {
  struct Message {
    std::uint64_t bytes = 0;
    std::uint64_t connections = 0;
  };
  std::string supervisor_end;
  std::string worker_end;
  std::string page;
  std::vector<SavedConnection> unsent;
  std::optional<TimePoint> unsent_drain;
  Duration drain_spread{};  // of that
  std::vector<Message> messages;
  std::uint64_t sent = 0;
  std::uint64_t taken_before = 0;
  std::uint64_t accepted_before = 0;
  std::uint64_t lost_before = 0;
  bool deaf = false;
  bool shut = false;
  bool greeted = false;
  bool uses_page = false;
  std::uint64_t told_taken = 0;  // by frames, of a worker that does not count in the page
  std::uint64_t told_accepted = 0;
  std::uint64_t told_closed = 0;
  std::uint64_t told_lost = 0;
  TimePoint told_heartbeat{};
};

// What a process has written and nobody has told yet, and what it wrote last (worker/output_capture.h).
struct SavedOutput {
  std::string output;  // our ends of its pipes
  std::string error;
  std::string begun_output;  // a line without its newline yet
  std::string begun_error;
  std::vector<std::string> last_lines;
};

struct SavedWorker {
  WorkerId id;
  SlotId slot;
  Generation generation;
  std::int64_t pid = 0;
  std::string pidfd;
  TimePoint started{};
  std::vector<ListenerId> listeners;  // that it knows
  Settlement::Offer offer{};
  unsigned turn = 0;  // 0 or 1: which of the slot's sockets it was given
  bool holds_sockets = false;
  std::optional<SavedInbox> own_inbox;  // else it reads the slot's
  std::optional<SavedNodeInbox> own_node_inbox;
  SavedOutput output;
  std::string notify;
  std::string notify_address;
  std::optional<std::uint32_t> notify_user;       // who may speak there; none: our own
  std::string capture;                            // the kernel's notifications of its binds
  std::map<std::string, std::uint64_t> captured;  // cookie of a socket of ours that it has -> listener
  bool waits_for_grace = false;
  bool takes_leave = false;  // it serves its queue out, and is then told to end ...
  bool took_leave = false;   // ... which it was
  bool bound = false;
  bool spoke = false;
  bool beats = false;
  std::vector<std::string> other_binds;
  std::optional<Fleet::Why> told_to_end;
  std::uint64_t served_before = 0;  // by others, of what its inbox counts
  std::uint32_t bus = 0;            // its number there; 0: none
};

struct SavedSlot {
  std::optional<SavedInbox> inbox;
  std::optional<SavedNodeInbox> node_inbox;
  std::uint64_t starts = 0;
  std::uint64_t retired_handed = 0;
  std::uint64_t retired_accepted = 0;
  std::uint64_t retired_lost = 0;
  std::uint64_t protocol_errors = 0;
  std::optional<std::string> last_exit;
  std::vector<std::string> last_lines;
};

struct SavedListener {
  enum class Stage { Serving, Leaving, Gone, Closing };  // the last one only in what is kept for a sudden end
  std::string name;
  std::string address;  // as bound
  std::string wished;   // as configured
  Stage stage = Stage::Serving;
  bool of_service_manager = false;  // it opened the socket, and goes on listening when we end
  std::string fd;                   // empty: closed, or UDP
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> refused;
  bool is_guest = false;  // another pool's, whose routes lead here
};

// The sockets of a steer group, in the order of their indexes (steering/steer_group.h).
struct SavedGroup {
  struct Socket {
    enum class Role { Control, Seat, Spare, Adrift };
    std::string fd;
    Role role = Role::Spare;
    unsigned seat = 0;
  };
  SocketDomain domain{};
  std::vector<Socket> sockets;
  std::uint64_t certain = 1;
  std::uint64_t stray_datagrams = 0;
  bool of_service_manager = false;  // as in SavedListener: the control socket
};
struct SavedSteered {
  ListenerId listener;
  std::string name;
  std::string address;  // as bound
  std::int64_t backlog = 0;
  std::vector<SavedGroup> groups;
  std::vector<SocketDomain> wanted;
};
struct SavedTurns {
  unsigned turn = 0;
  std::array<bool, 2> taken_over{};
};

struct SavedPool {
  std::string name;
  std::optional<Intake> found;  // what its workers have shown themselves to be
  bool has_capture = true;
  bool has_steering = true;
  bool retired_unwanted = false;
  Fleet::Saved fleet;
  std::uint32_t last_generation = 1;
  std::vector<SavedSlot> slots;
  std::vector<SavedWorker> workers;
  unsigned table_slots = 0;  // among which the buckets are shared
  unsigned resolution = 0;   // of the buckets; 0: all of them
  std::uint64_t handed_before = 0;
  std::uint64_t checks = 0;  // connections of health checks among those handed and waiting
  std::uint64_t last_connection = 0;
  std::vector<SavedListener> listeners;
  std::vector<SavedSteered> steered;
  std::vector<SavedTurns> turns;  // of each slot
  std::vector<SavedConnection> unplaced;
  std::vector<SavedConnection> at_session_door;  // of which session they ask for is not known yet
  std::optional<SavedNodeWorkers> node;
  std::vector<SavedArrival> arriving;
  std::vector<SavedDoor> doors;
};

inline constexpr unsigned kSavedFormat = 1;
// A word of `needs`: workers are on the bus, and whoever does not know it would end it for them.
inline constexpr const char* kNeedsBus = "bus";

struct SavedState {
  unsigned format = kSavedFormat;
  std::vector<std::string> needs;
  std::string version;  // of the program that wrote it
  std::string boot;     // which boot its times and processes are of
  std::int64_t pid = 0;
  std::uint64_t epoch = 0;  // how often one program has followed another
  std::string name;
  std::string config;  // what is in force, as a file: holdfast.toml(5)
  TimePoint started{};
  std::optional<std::uint64_t> open_files;  // the soft limit that workers are started with
  std::string last_reload;
  bool reload_failed = false;
  std::uint64_t gone_accepted = 0;  // the account of pools that have gone
  std::uint64_t gone_checks = 0;
  std::uint64_t gone_handed = 0;
  std::map<std::string, std::uint64_t> gone_refused;
  std::string control;  // the control socket
  std::string waiting;  // the connection of a client that waits to hear how the upgrade went
  std::vector<SavedPool> pools;
  SavedBus bus;
  std::vector<std::string> memory;  // in which the state is kept for the case of a sudden end
  std::map<std::string, std::string>
      kept;  // what the service manager keeps (core/kept_names.h), in an upgrade in place
  std::map<std::string, std::int64_t> numbers;  // of the named descriptors, where they are inherited by exec
};

[[nodiscard]] std::string encode(const SavedState& state);
// Errors say what is wrong: no state at all, a newer format, something that this program does not know and must.
[[nodiscard]] Result<SavedState> decode_saved_state(std::string_view json);

[[nodiscard]] std::string hex_of(std::string_view bytes);
// Nothing if it is no even number of hexadecimal digits.
[[nodiscard]] std::optional<std::string> bytes_of_hex(std::string_view text);

}  // namespace holdfast
