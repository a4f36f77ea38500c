#include "wire/status.h"

#include "wire/bus_status_members.h"
#include "wire/json_members.h"

namespace holdfast {

namespace {

// Every function pair below is one object of the answer: `json_of` writes it, `read` reads it, in the same order.

Json json_of(const ListenerStatus& listener) {
  return {{"name", listener.name},
          {"address", listener.address},
          {"accepted", listener.accepted},
          {"refused", Json(listener.refused)},
          {"missing", Json(listener.missing)},
          {"would_refuse", Json(listener.would_refuse)},
          {"paused", listener.paused},
          {"paused_because", listener.paused_because}};
}

void read(JsonMembers& members, ListenerStatus& listener) {
  members.read("name", listener.name);
  members.read("address", listener.address);
  members.read("accepted", listener.accepted);
  members.read("refused", listener.refused);
  members.read("missing", listener.missing);
  members.read("would_refuse", listener.would_refuse);
  members.read("paused", listener.paused);
  members.read("paused_because", listener.paused_because);
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
Json or_null(const std::optional<Duration>& value) { return value ? Json(seconds(*value)) : Json(); }

// What is told of every worker, of the incumbent among the members of its slot.
void add_life(Json& object, const WorkerStatus& worker) {
  object["draining_seconds"] = or_null(worker.draining_for);
  object["ends_in_seconds"] = or_null(worker.ends_in);
  object["health"] = worker.health;
  object["last_check"] = worker.last_check;
  object["resident_bytes"] = or_null(worker.resident);
}

void read_life(JsonMembers& members, WorkerStatus& worker) {
  members.read("draining_seconds", worker.draining_for);
  members.read("ends_in_seconds", worker.ends_in);
  members.read("health", worker.health);
  members.read("last_check", worker.last_check);
  members.read("resident_bytes", worker.resident);
}

Json json_of(const WorkerStatus& worker) {
  Json object = {{"pid", worker.pid},
                 {"state", worker.state},
                 {"generation", worker.generation},
                 {"age_seconds", seconds(worker.age)},
                 {"open", or_null(worker.open)}};
  add_life(object, worker);
  return object;
}

void read(JsonMembers& members, WorkerStatus& worker) {
  members.read("pid", worker.pid);
  members.read("state", worker.state);
  members.read("generation", worker.generation);
  members.read("age_seconds", worker.age);
  members.read("open", worker.open);
  read_life(members, worker);
}

// The incumbent's members stand in the slot itself, null while nobody lives there: what a script asks most is
// `.slots[].pid`.
Json json_of(const SlotStatus& slot) {
  Json object = {{"slot", slot.slot}, {"state", slot.state}};
  object["pid"] = slot.worker ? Json(slot.worker->pid) : Json();
  object["worker_state"] = slot.worker ? Json(slot.worker->state) : Json();
  object["generation"] = slot.worker ? Json(slot.worker->generation) : Json();
  object["age_seconds"] = slot.worker ? Json(seconds(slot.worker->age)) : Json();
  add_life(object, slot.worker.value_or(WorkerStatus{}));
  object["restarts"] = slot.restarts;
  object["handed"] = slot.handed;
  object["waiting"] = slot.waiting;
  object["queued"] = slot.queued;
  object["accepted"] = slot.accepted;
  object["open"] = slot.open;
  object["lost"] = slot.lost;
  object["protocol_errors"] = slot.protocol_errors;
  object["buckets"] = slot.buckets;
  object["home_buckets"] = slot.home_buckets;
  object["last_exit"] = slot.last_exit ? Json(*slot.last_exit) : Json();
  object["next_start_seconds"] = slot.next_start ? Json(seconds(*slot.next_start)) : Json();
  object["others"] = Json::array();
  for (const WorkerStatus& worker : slot.others) object["others"].push_back(json_of(worker));
  return object;
}

void read(JsonMembers& members, SlotStatus& slot) {
  members.read("slot", slot.slot);
  members.read("state", slot.state);
  std::optional<std::int64_t> pid;
  members.read("pid", pid);
  if (pid) {
    WorkerStatus& worker = slot.worker.emplace();
    worker.pid = *pid;
    members.read("worker_state", worker.state);
    members.read("generation", worker.generation);
    members.read("age_seconds", worker.age);
    read_life(members, worker);
  }
  members.read("restarts", slot.restarts);
  members.read("handed", slot.handed);
  members.read("waiting", slot.waiting);
  members.read("queued", slot.queued);
  members.read("accepted", slot.accepted);
  members.read("open", slot.open);
  members.read("lost", slot.lost);
  members.read("protocol_errors", slot.protocol_errors);
  members.read("buckets", slot.buckets);
  members.read("home_buckets", slot.home_buckets);
  members.read("last_exit", slot.last_exit);
  members.read("next_start_seconds", slot.next_start);
  members.each("others", [&](JsonMembers& other) { read(other, slot.others.emplace_back()); });
}

Json json_of(const PoolStatus& pool) {
  Json object = {{"name", pool.name}, {"command", Json(pool.command)}, {"intake", pool.intake}, {"plane", pool.plane}};
  if (!pool.node_dialect.empty()) {
    object["node_dialect"] = pool.node_dialect;
    object["node_messages_dropped"] = pool.node_messages_dropped;
  }
  object["counts_connections"] = pool.counts_connections;
  object["slots"] = Json::array();
  for (const SlotStatus& slot : pool.slots) object["slots"].push_back(json_of(slot));
  return object;
}

void read(JsonMembers& members, PoolStatus& pool) {
  members.read("name", pool.name);
  members.read("command", pool.command);
  members.read("intake", pool.intake);
  members.read("plane", pool.plane);
  members.read("node_dialect", pool.node_dialect);
  members.read("node_messages_dropped", pool.node_messages_dropped);
  members.read("counts_connections", pool.counts_connections);
  members.each("slots", [&](JsonMembers& slot) { read(slot, pool.slots.emplace_back()); });
}

}  // namespace

std::string to_json(const Status& status) {
  Json object = {{"name", status.name},
                 {"version", status.version},
                 {"pid", status.pid},
                 {"epoch", status.epoch},
                 {"uptime_seconds", seconds(status.uptime)},
                 {"state", status.state},
                 {"last_reload", status.last_reload},
                 {"reload_failed", status.reload_failed},
                 {"accepted", status.accepted},
                 {"checks", status.checks},
                 {"handed", status.handed},
                 {"waiting", status.waiting},
                 {"refused", Json(status.refused)}};
  object["listeners"] = Json::array();
  for (const ListenerStatus& listener : status.listeners) object["listeners"].push_back(json_of(listener));
  object["pools"] = Json::array();
  for (const PoolStatus& pool : status.pools) object["pools"].push_back(json_of(pool));
  object["bus"] = json_of(status.bus);
  return json_text(object);
}

Result<Status> parse_status(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  Status status;
  members.read("name", status.name);
  members.read("version", status.version);
  members.read("pid", status.pid);
  members.read("epoch", status.epoch);
  members.read("uptime_seconds", status.uptime);
  members.read("state", status.state);
  members.read("last_reload", status.last_reload);
  members.read("reload_failed", status.reload_failed);
  members.read("accepted", status.accepted);
  members.read("checks", status.checks);
  members.read("handed", status.handed);
  members.read("waiting", status.waiting);
  members.read("refused", status.refused);
  members.each("listeners", [&](JsonMembers& listener) { read(listener, status.listeners.emplace_back()); });
  members.each("pools", [&](JsonMembers& pool) { read(pool, status.pools.emplace_back()); });
  if (object.is_object() && object.contains("bus") && object["bus"].is_object()) {
    JsonMembers bus(object["bus"], fault);
    read(bus, status.bus);
  }
  if (!fault.empty()) return Error{{}, "read the status of the supervisor: " + fault};
  return status;
}

}  // namespace holdfast
