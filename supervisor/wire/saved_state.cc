#include "wire/saved_state.h"

#include <algorithm>

#include "core/text.h"
#include "wire/saved_bus_members.h"
#include "wire/saved_fleet.h"
#include "wire/saved_members.h"
#include "wire/saved_node_members.h"

namespace holdfast {

template <>
struct SavedNames<Fleet::Why> {
  static constexpr std::array<std::string_view, 7> value = {"drained",    "hung",    "not-ready", "unhealthy",
                                                            "misbehaved", "overdue", "stopping"};
};
template <>
struct SavedNames<Intake> {
  static constexpr std::array<std::string_view, 6> value = {"auto", "sdk", "listen-fds", "capture", "node", "none"};
};
template <>
struct SavedNames<SocketDomain> {
  static constexpr std::array<std::string_view, 2> value = {"inet", "inet6"};
};
template <>
struct SavedNames<SavedListener::Stage> {
  static constexpr std::array<std::string_view, 4> value = {"serving", "leaving", "gone", "closing"};
};
template <>
struct SavedNames<SavedGroup::Socket::Role> {
  static constexpr std::array<std::string_view, 4> value = {"control", "seat", "spare", "adrift"};
};

namespace {

// What this program knows of what a state may need.
constexpr std::array<std::string_view, 1> kKnownNeeds = {kNeedsBus};

std::string cannot(const std::string& why) { return "take over the state of a supervisor: " + why; }

}  // namespace

template <class Form>
void members(Form& form, SavedConnection& connection) {
  form("fd", connection.fd);
  form("record", connection.record);
  form("details", connection.details);
}

template <class Form>
void members(Form& form, SavedArrival& arrival) {
  form("fd", arrival.fd);
  form("listener", arrival.listener);
  form("sender", arrival.sender);
  form("port", arrival.port);
}

template <class Form>
void members(Form& form, SavedSource& source) {
  form("address", source.address);
  form("full_at", source.full_at);
  form("refused_since", source.refused_since);
  form("banned_until", source.banned_until);
  form("refusals", source.refusals);
  form("seen", source.seen);
}

namespace {

// One text for each connection, the source first: an object with a member for each of so many sources would take long to read.
void open_of_sources(SavedWriter& form, const SavedDoor& door) {
  std::vector<std::string> texts;
  for (const auto& [source, open] : door.open_of_sources) {
    for (const std::string& ends : open) texts.push_back(source + " " + ends);
  }
  form("open_of_sources", texts);
}

void open_of_sources(SavedReader& form, SavedDoor& door) {
  std::vector<std::string> texts;
  form("open_of_sources", texts);
  for (std::string_view ends : texts) {
    const std::string_view source = take_until(ends, ' ');
    door.open_of_sources[std::string(source)].emplace_back(ends);
  }
}

}  // namespace

template <class Form>
void members(Form& form, SavedDoor& door) {
  form("listener", door.listener);
  form("sources", door.sources);
  form("missing", door.missing);
  form("would_refuse", door.would_refuse);
  open_of_sources(form, door);
  form("open", door.open);
}

template <class Form>
void members(Form& form, SavedInbox::Message& message) {
  form("bytes", message.bytes);
  form("connections", message.connections);
}

template <class Form>
void members(Form& form, SavedInbox& inbox) {
  form("supervisor_end", inbox.supervisor_end);
  form("worker_end", inbox.worker_end);
  form("page", inbox.page);
  form("unsent", inbox.unsent);
  form("unsent_drain", inbox.unsent_drain);
  form("drain_spread", inbox.drain_spread);
  form("messages", inbox.messages);
  form("sent", inbox.sent);
  form("taken_before", inbox.taken_before);
  form("accepted_before", inbox.accepted_before);
  form("lost_before", inbox.lost_before);
  form("deaf", inbox.deaf);
  form("shut", inbox.shut);
  form("greeted", inbox.greeted);
  form("uses_page", inbox.uses_page);
  form("told_taken", inbox.told_taken);
  form("told_accepted", inbox.told_accepted);
  form("told_closed", inbox.told_closed);
  form("told_lost", inbox.told_lost);
  form("told_heartbeat", inbox.told_heartbeat);
}

template <class Form>
void members(Form& form, SavedOutput& output) {
  form("output", output.output);
  form("error", output.error);
  form("begun_output", output.begun_output);
  form("begun_error", output.begun_error);
  form("last_lines", output.last_lines);
}

template <class Form>
void members(Form& form, Settlement::Offer& offer) {
  form("channel", offer.channel);
  form("sockets", offer.sockets);
  form("listen_fds", offer.listen_fds);
  form("capture", offer.capture);
  form("node", offer.node);
}

template <class Form>
void members(Form& form, SavedWorker& worker) {
  form("id", worker.id);
  form("slot", worker.slot);
  form("generation", worker.generation);
  form("pid", worker.pid);
  form("pidfd", worker.pidfd);
  form("started", worker.started);
  form("listeners", worker.listeners);
  form("offer", worker.offer);
  form("turn", worker.turn);
  form("holds_sockets", worker.holds_sockets);
  form("own_inbox", worker.own_inbox);
  form("own_node_inbox", worker.own_node_inbox);
  form("output", worker.output);
  form("notify", worker.notify);
  form("notify_address", worker.notify_address);
  form("notify_user", worker.notify_user);
  form("capture", worker.capture);
  form("captured", worker.captured);
  form("waits_for_grace", worker.waits_for_grace);
  form("takes_leave", worker.takes_leave);
  form("took_leave", worker.took_leave);
  form("bound", worker.bound);
  form("spoke", worker.spoke);
  form("beats", worker.beats);
  form("other_binds", worker.other_binds);
  form("told_to_end", worker.told_to_end);
  form("served_before", worker.served_before);
  form("bus", worker.bus);
}

template <class Form>
void members(Form& form, SavedSlot& slot) {
  form("inbox", slot.inbox);
  form("node_inbox", slot.node_inbox);
  form("starts", slot.starts);
  form("retired_handed", slot.retired_handed);
  form("retired_accepted", slot.retired_accepted);
  form("retired_lost", slot.retired_lost);
  form("protocol_errors", slot.protocol_errors);
  form("last_exit", slot.last_exit);
  form("last_lines", slot.last_lines);
}

template <class Form>
void members(Form& form, SavedListener& listener) {
  form("name", listener.name);
  form("address", listener.address);
  form("wished", listener.wished);
  form("stage", listener.stage);
  form("of_service_manager", listener.of_service_manager);
  form("fd", listener.fd);
  form("accepted", listener.accepted);
  form("refused", listener.refused);
  form("is_guest", listener.is_guest);
}

template <class Form>
void members(Form& form, SavedGroup::Socket& socket) {
  form("fd", socket.fd);
  form("role", socket.role);
  form("seat", socket.seat);
}

template <class Form>
void members(Form& form, SavedGroup& group) {
  form("domain", group.domain);
  form("sockets", group.sockets);
  form("certain", group.certain);
  form("stray_datagrams", group.stray_datagrams);
  form("of_service_manager", group.of_service_manager);
}

template <class Form>
void members(Form& form, SavedSteered& steered) {
  form("listener", steered.listener);
  form("name", steered.name);
  form("address", steered.address);
  form("backlog", steered.backlog);
  form("groups", steered.groups);
  form("wanted", steered.wanted);
}

template <class Form>
void members(Form& form, SavedTurns& turns) {
  form("turn", turns.turn);
  form("taken_over", turns.taken_over);
}

template <class Form>
void members(Form& form, SavedPool& pool) {
  form("name", pool.name);
  form("found", pool.found);
  form("has_capture", pool.has_capture);
  form("has_steering", pool.has_steering);
  form("retired_unwanted", pool.retired_unwanted);
  form("fleet", pool.fleet);
  form("last_generation", pool.last_generation);
  form("slots", pool.slots);
  form("workers", pool.workers);
  form("table_slots", pool.table_slots);
  form("resolution", pool.resolution);
  form("handed_before", pool.handed_before);
  form("checks", pool.checks);
  form("last_connection", pool.last_connection);
  form("listeners", pool.listeners);
  form("steered", pool.steered);
  form("turns", pool.turns);
  form("unplaced", pool.unplaced);
  form("at_session_door", pool.at_session_door);
  form("node", pool.node);
  form("arriving", pool.arriving);
  form("doors", pool.doors);
}

template <class Form>
void members(Form& form, SavedState& state) {
  form("format", state.format);
  form("needs", state.needs);
  form("version", state.version);
  form("boot", state.boot);
  form("pid", state.pid);
  form("epoch", state.epoch);
  form("name", state.name);
  form("config", state.config);
  form("started", state.started);
  form("open_files", state.open_files);
  form("last_reload", state.last_reload);
  form("reload_failed", state.reload_failed);
  form("gone_accepted", state.gone_accepted);
  form("gone_checks", state.gone_checks);
  form("gone_handed", state.gone_handed);
  form("gone_refused", state.gone_refused);
  form("control", state.control);
  form("waiting", state.waiting);
  form("memory", state.memory);
  form("kept", state.kept);
  form("pools", state.pools);
  form("bus", state.bus);
  form("numbers", state.numbers);
}

std::string encode(const SavedState& state) { return json_text(SavedWriter::object_of(state)); }

Result<SavedState> decode_saved_state(std::string_view json) {
  const Json object = parse_json(json);
  if (!object.is_object() || !object.contains("format")) return Error{{}, cannot("it is none")};
  std::string fault;
  SavedState state;
  SavedReader reader(object, fault);
  // What is written in a way that is not known yet must not be read as if it were.
  reader("format", state.format);
  reader("needs", state.needs);
  reader("version", state.version);
  const std::string writer = "holdfast " + state.version + " wrote it ";
  if (state.format > kSavedFormat) {
    return Error{{},
                 cannot(writer + "in format " + std::to_string(state.format) + ", and this program knows " +
                        std::to_string(kSavedFormat))};
  }
  for (const std::string& need : state.needs) {
    if (std::find(kKnownNeeds.begin(), kKnownNeeds.end(), need) == kKnownNeeds.end()) {
      return Error{{}, cannot(writer + "with '" + need + "', which this program does not know")};
    }
  }
  members(reader, state);
  if (!fault.empty()) return Error{{}, cannot(fault)};
  return state;
}

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

std::optional<std::string> bytes_of_hex(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace holdfast
