#include "config/options.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "config/bus_options.h"
#include "config/front_options.h"
#include "config/option_rows.h"

namespace holdfast {

namespace {

// 0, for which `auto` stands, is no number that anybody may write.
Option workers_row(const std::string& group) {
  Option option = pool_row(
      "workers", "N", group, Effect::Live,
      "Number of workers; auto: one for each CPU that the supervisor may use, now and later",
      [](auto& p) -> auto& { return p.workers; });
  option.letter = "-w";
  option.set = [](Config& config, const Place& place, const Value& value) -> Outcome {
    const auto* scalar = std::get_if<Scalar>(&value);
    unsigned workers = 0;
    const bool is_auto = scalar != nullptr && scalar->text == "auto";
    if (!is_auto && (!read_value(value, workers) || workers == 0)) {
      const std::string text = scalar != nullptr ? "'" + scalar->text + "'" : to_toml(value);
      return Error{{}, text + " is not a number of workers (from 1) or auto"};
    }
    config.pools[place.index].workers = workers;
    config.pools[place.index].workers_auto = false;
    return Done{};
  };
  option.get = [](const Config& config, const Place& place) -> Value {
    const unsigned workers = config.pools[place.index].workers;
    return workers == 0 || config.pools[place.index].workers_auto ? Value(Scalar{"auto"}) : value_of(workers);
  };
  return option;
}

Option environment_row(const std::string& group) {
  Option option{"environment",
                Scope::Pool,
                "TABLE",
                group,
                Effect::RollWorkers,
                "Variables that the workers find in their environment, beside ours or in place of them",
                {},
                {}};
  option.set = [](Config& config, const Place& place, const Value& value) {
    return read_variable(place.entry, value, config.pools[place.index].environment);
  };
  option.get = [](const Config& config, const Place& place) -> Value {
    const auto& variables = config.pools[place.index].environment;
    const auto found = variables.find(place.entry);
    return Scalar{found == variables.end() ? "" : found->second};
  };
  option.entries = [](const Config& config, std::size_t index) {
    std::vector<std::string> names;
    for (const auto& [name, text] : config.pools[index].environment) names.push_back(name);
    return names;
  };
  return option;
}

// An empty list is none.
Option clean_up_row(const std::string& group) {
  Option option = without_flag(pool_row(
      "clean-up", "COMMAND", group, Effect::Live,
      "A program that is run before a worker is started again; if it fails, so has the start",
      [](auto& p) -> auto& { return p.clean_up; }));
  option.set = [](Config& config, const Place& place, const Value& value) -> Outcome {
    std::vector<std::string>& command = config.pools[place.index].clean_up;
    if (value != Value(std::vector<Scalar>{})) return read_value(value, command);
    command.clear();
    return Done{};
  };
  return option;
}

// An empty name means the first pool, and that is what is told.
Option pool_of_listener_row(const std::string& group) {
  Option option = listener_row(
      "pool", "NAME", group, Effect::NeedsRestart, "The pool whose workers serve its clients (default: the first one)",
      [](auto& l) -> auto& { return l.pool; });
  option.get = [](const Config& config, const Place& place) -> Value {
    const std::string& pool = config.listeners[place.index].pool;
    return Scalar{pool.empty() ? config.pools.front().name : pool};
  };
  return option;
}

// A command that may be left out; none is an empty list.
Option check_command_row(const std::string& group) {
  Option option = without_flag(pool_row(
      "health-command", "COMMAND", group, Effect::Live,
      "A program and its arguments that is run to check each worker (HOLDFAST_SLOT, HOLDFAST_PID): 0 is a pass",
      [](auto& p) -> auto& { return p.health.command; }));
  option.set = [](Config& config, const Place& place, const Value& value) -> Outcome {
    std::vector<std::string>& command = config.pools[place.index].health.command;
    const auto* list = std::get_if<std::vector<Scalar>>(&value);
    if (list == nullptr || !list->empty()) return read_value(value, command);
    command.clear();
    return Done{};
  };
  return option;
}

std::vector<Option> health_rows() {
  const std::string group = "Health";
  return {
      pool_row(
          "health-http", "TARGET", group, Effect::Live,
          "Check each worker with GET TARGET on a connection of our own, as in /healthz: 2xx and 3xx pass",
          [](auto& p) -> auto& { return p.health.http; }),
      check_command_row(group),
      pool_row(
          "health-interval", "TIME", group, Effect::Live, "From the beginning of one check to that of the next",
          [](auto& p) -> auto& { return p.health.policy.interval; }),
      pool_row(
          "health-timeout", "TIME", group, Effect::Live, "A check without an answer for so long has failed",
          [](auto& p) -> auto& { return p.health.policy.timeout; }),
      pool_row(
          "health-fail", "N", group, Effect::Live, "So many failed checks in a row make a worker unhealthy",
          [](auto& p) -> auto& { return p.health.policy.fail; }),
      pool_row(
          "health-pass", "N", group, Effect::Live, "So many passed checks in a row make it healthy again",
          [](auto& p) -> auto& { return p.health.policy.pass; }),
      pool_row(
          "health-action", "ACTION", group, Effect::Live,
          "An unhealthy worker gets no new clients while another slot is healthy; restart: it is replaced as well, "
          "drain: "
          "it is not",
          [](auto& p) -> auto& { return p.health.action; }),
  };
}

std::vector<Option> recycle_rows() {
  const std::string group = "Recycling";
  return {
      pool_row(
          "recycle-age", "TIME", group, Effect::Live, "A worker that has served so long is replaced (0: never)",
          [](auto& p) -> auto& { return p.recycle.age; }),
      pool_row(
          "recycle-connections", "N", group, Effect::Live,
          "A worker of the SDK that has taken up so many connections is replaced (0: never)",
          [](auto& p) -> auto& { return p.recycle.connections; }),
      pool_row(
          "recycle-memory", "SIZE", group, Effect::Live,
          "A worker whose process group has more memory resident than this is replaced, as in 512M (0: never)",
          [](auto& p) -> auto& { return p.recycle.memory; }),
      pool_row(
          "recycle-memory-time", "TIME", group, Effect::Live, "... if it has had more for so long",
          [](auto& p) -> auto& { return p.recycle.memory_time; }),
      pool_row(
          "recycle-jitter", "N", group, Effect::Live,
          "The limits of a slot are lower than these by up to N percent, in each slot by another part of it",
          [](auto& p) -> auto& { return p.recycle.jitter; }),
  };
}

std::vector<Option> make_options() {
  const std::string self = "Supervisor";
  const std::string listen = "Listeners";
  const std::string work = "Workers";
  const std::string where = "Placement and queues";
  const std::string life = "Life of a worker";
  const std::string restart = "Restarts";
  return {
      supervisor_row(
          "name", "NAME", self, Effect::NeedsRestart, "Name of this supervisor (default: the file name of the command)",
          [](auto& c) -> auto& { return c.name; }),
      supervisor_row(
          "control", "PATH", self, Effect::NeedsRestart,
          "Control socket (default: NAME.sock in /run/holdfast, $XDG_RUNTIME_DIR/holdfast or /tmp/holdfast-UID)",
          [](auto& c) -> auto& { return c.control_path; }),
      supervisor_row(
          "log-level", "LEVEL", self, Effect::Live, "Least level that is logged: debug, info, warning or error",
          [](auto& c) -> auto& { return c.log_level; }),
      supervisor_row(
          "keep-state", "WHO", self, Effect::NeedsRestart,
          "Who keeps the workers for the next supervisor if this one is killed: no, or systemd (its fd store)",
          [](auto& c) -> auto& { return c.keep_state; }),
      supervisor_row(
          "log-file", "PATH", self, Effect::NeedsRestart,
          "File for the log and the workers' output, opened anew at SIGUSR1 (default: the standard streams)",
          [](auto& c) -> auto& { return c.log_file; }),
      supervisor_row(
          "backlog", "N", self, Effect::NeedsRestart,
          "Connections that the kernel may hold for each listener (net.core.somaxconn caps it)",
          [](auto& c) -> auto& { return c.backlog; }),

      listener_row(
          "address", "ADDRESS", listen, Effect::RollWorkers,
          "Where it listens: :8080, 127.0.0.1:8080, [::1]:8080, unix:/path[,mode=0660][,user=NAME][,group=NAME], "
          "systemd:NAME",
          [](auto& l) -> auto& { return l.address; }),
      pool_of_listener_row(listen),

      without_flag(pool_row(
          "command", "COMMAND", work, Effect::RollWorkers,
          "The program of the workers and its arguments, without a shell", [](auto& p) -> auto& { return p.command; })),
      workers_row(work),
      pool_row(
          "working-directory", "DIR", work, Effect::RollWorkers, "Where the workers run (default: here)",
          [](auto& p) -> auto& { return p.working_directory; }),
      environment_row(work),
      pool_row(
          "user", "NAME", work, Effect::RollWorkers,
          "The user of the workers, by name or number; only root may choose another than its own",
          [](auto& p) -> auto& { return p.user; }),
      pool_row(
          "group", "NAME", work, Effect::RollWorkers, "The group of the workers (default: that of the user)",
          [](auto& p) -> auto& { return p.group; }),
      pool_row(
          "umask", "MASK", work, Effect::RollWorkers,
          "Permissions that the workers' new files do not get, in octal digits, or none: the supervisor's",
          [](auto& p) -> auto& { return p.umask; }),
      pool_row(
          "nice", "N", work, Effect::RollWorkers, "Added to the supervisor's niceness; below 0 only root may",
          [](auto& p) -> auto& { return p.nice; }),
      pool_row(
          "limits", "LIMITS", work, Effect::RollWorkers,
          "Resource limits of the workers, as in nofile=65536,core=0:unlimited (soft:hard), or none",
          [](auto& p) -> auto& { return p.limits; }),

      pool_row(
          "intake", "INTAKE", where, Effect::NeedsRestart,
          "How workers receive connections: sdk, listen-fds, capture, node, none, or auto: what the command or the "
          "first worker shows itself to be",
          [](auto& p) -> auto& { return p.intake; }),
      pool_row(
          "plane", "PLANE", where, Effect::NeedsRestart,
          "Who places connections of workers with the SDK: pass (the supervisor) or steer (the kernel); auto: pass",
          [](auto& p) -> auto& { return p.plane; }),
      pool_row(
          "node-dialect", "DIALECT", where, Effect::RollWorkers,
          "How Node.js workers take connections: cluster, sticky-session, sticky-session-0, sticky-cluster, "
          "sticky-listen, socket.io or plain; auto: cluster if it calls listen(), else what its script names",
          [](auto& p) -> auto& { return p.node.dialect; }),
      pool_row(
          "node-sticky-by", "WHAT", where, Effect::NeedsRestart,
          "By what clients of @socket.io/sticky keep their worker: address, or session: the sid of their requests",
          [](auto& p) -> auto& { return p.node.sticky_by; }),
      pool_row(
          "node-ready", "SIGN", where, Effect::RollWorkers,
          "What shows that a Node.js worker is ready: listening, or message: process.send('ready')",
          [](auto& p) -> auto& { return p.node.ready; }),
      pool_row(
          "node-farewell", "WORD", where, Effect::RollWorkers,
          "How a Node.js worker is told to drain: disconnect, or message: also 'shutdown' to process.on('message')",
          [](auto& p) -> auto& { return p.node.farewell; }),
      pool_row(
          "node-messages", "WHERE", where, Effect::Live,
          "Where process.send() of Node.js workers goes: log, relay (to all others) or drop",
          [](auto& p) -> auto& { return p.node.messages; }),
      pool_row(
          "node-serialization", "MODE", where, Effect::NeedsRestart,
          "How the channel of Node.js workers is written: json, or advanced, as V8 writes values: bytes stay bytes",
          [](auto& p) -> auto& { return p.node.serialization; }),
      supervisor_row(
          "hash-key", "HEX", where, Effect::Live,
          "16 hexadecimal digits; the same on machines that must place clients alike (0...0: derived from the machine "
          "id)",
          [](auto& c) -> auto& { return c.hash_key; }),
      pool_row(
          "prefix-v4", "BITS", where, Effect::Live, "Part of an IPv4 address that makes a client",
          [](auto& p) -> auto& { return p.prefix.v4; }),
      pool_row(
          "prefix-v6", "BITS", where, Effect::Live, "Part of an IPv6 address that makes a client",
          [](auto& p) -> auto& { return p.prefix.v6; }),
      pool_row(
          "queue-limit", "N", where, Effect::Live, "Connections that a worker may have been sent and not taken up",
          [](auto& p) -> auto& { return p.queue_limit; }),
      pool_row(
          "hold-limit", "N", where, Effect::Live, "Connections that wait for a slot whose worker is being restarted",
          [](auto& p) -> auto& { return p.hold_limit; }),
      pool_row(
          "hold-timeout", "TIME", where, Effect::Live,
          "How long a slot may be without a worker before its clients go to their second choice",
          [](auto& p) -> auto& { return p.fleet.hold_timeout; }),
      pool_row(
          "overflow", "POLICY", where, Effect::Live,
          "What happens over those limits: next (choice), wait (accepting pauses) or refuse",
          [](auto& p) -> auto& { return p.overflow; }),

      pool_row(
          "slow-start", "TIME", where, Effect::Live,
          "Over which new slots get their share of the clients, step by step (0: at once)",
          [](auto& p) -> auto& { return p.slow_start; }),

      pool_row(
          "cpus", "CPUS", life, Effect::RollWorkers,
          "CPUs that are dealt out to the slots, as in 0-3,8, or all: every worker runs where the supervisor may",
          [](auto& p) -> auto& { return p.cpus; }),
      pool_row(
          "start-timeout", "TIME", life, Effect::Live, "From start to ready",
          [](auto& p) -> auto& { return p.fleet.start_timeout; }),
      pool_row(
          "start-grace", "TIME", life, Effect::Live,
          "A worker that tells nothing of itself counts as ready when it has lived so long",
          [](auto& p) -> auto& { return p.start_grace; }),
      pool_row(
          "heartbeat-timeout", "TIME", life, Effect::RollWorkers,
          "Without a heartbeat for so long a worker counts as hung (0: never)",
          [](auto& p) -> auto& { return p.fleet.heartbeat_timeout; }),
      pool_row(
          "drain-timeout", "TIME", life, Effect::Live, "From the request to drain to the stop signal",
          [](auto& p) -> auto& { return p.fleet.drain_timeout; }),
      pool_row(
          "drain-spread", "TIME", life, Effect::Live,
          "Over which a draining worker of the SDK closes its connections, so that clients do not come back all at "
          "once",
          [](auto& p) -> auto& { return p.drain_spread; }),
      pool_row(
          "drain-wait", "FOR", life, Effect::Live,
          "What a worker without the SDK serves out before its stop signal: queue, or connections: also those it has "
          "accepted",
          [](auto& p) -> auto& { return p.drain_wait; }),
      pool_row(
          "stop-signal", "SIGNAL", life, Effect::Live, "The signal that asks a worker to stop: TERM, QUIT, INT ...",
          [](auto& p) -> auto& { return p.stop_signal; }),
      pool_row(
          "kill-timeout", "TIME", life, Effect::Live, "From the stop signal (or SIGABRT, for the hung) to SIGKILL",
          [](auto& p) -> auto& { return p.fleet.kill_timeout; }),
      pool_row(
          "stop-timeout", "TIME", life, Effect::Live, "The whole of a graceful stop",
          [](auto& p) -> auto& { return p.fleet.stop_timeout; }),

      pool_row(
          "restart-delay", "TIME", restart, Effect::Live, "Before the restart after a first failure",
          [](auto& p) -> auto& { return p.fleet.backoff.first; }),
      pool_row(
          "restart-delay-step", "TIME", restart, Effect::Live,
          "After the second failure in a row; it doubles with each further one",
          [](auto& p) -> auto& { return p.fleet.backoff.step; }),
      pool_row(
          "restart-delay-max", "TIME", restart, Effect::Live, "It grows no further than this",
          [](auto& p) -> auto& { return p.fleet.backoff.limit; }),
      pool_row(
          "stable-time", "TIME", restart, Effect::Live, "A worker that served this long has made good earlier failures",
          [](auto& p) -> auto& { return p.fleet.stable_time; }),
      pool_row(
          "start-limit", "N", restart, Effect::Live,
          "So many failures within its interval and the slot rests (0: never)",
          [](auto& p) -> auto& { return p.fleet.start_limit.failures; }),
      pool_row(
          "start-limit-interval", "TIME", restart, Effect::Live,
          "The time in which the failures of the start limit are counted",
          [](auto& p) -> auto& { return p.fleet.start_limit.interval; }),
      pool_row(
          "rest", "TIME", restart, Effect::Live, "How long a slot rests before one probe is started",
          [](auto& p) -> auto& { return p.fleet.start_limit.rest; }),
      pool_row(
          "no-restart-codes", "LIST", restart, Effect::Live,
          "Exit codes by which a worker says that restarting is useless, or none",
          [](auto& p) -> auto& { return p.no_restart_codes; }),
      pool_row(
          "canary", "TIME", restart, Effect::Live, "How long a successor must be ready before it takes a slot",
          [](auto& p) -> auto& { return p.fleet.canary; }),
      pool_row(
          "start-order", "ORDER", restart, Effect::Live,
          "together, or one-by-one: a worker is started when those of all slots below its own serve",
          [](auto& p) -> auto& { return p.fleet.start_order; }),
      pool_row(
          "restart-group", "GROUP", restart, Effect::Live,
          "Who is started again with a worker that has ended or is replaced: one, or all (stopped first, then one by "
          "one)",
          [](auto& p) -> auto& { return p.fleet.restart_group; }),
      clean_up_row(restart),
      pool_row(
          "clean-up-timeout", "TIME", restart, Effect::Live, "How long the clean-up may take",
          [](auto& p) -> auto& { return p.clean_up_timeout; }),
      pool_row(
          "linger", "N", restart, Effect::Live,
          "Replaced workers of a slot that may still drain while it is renewed once more",
          [](auto& p) -> auto& { return p.fleet.linger; }),
      pool_row(
          "surge", "N", restart, Effect::Live, "Slots that are renewed at a time",
          [](auto& p) -> auto& { return p.fleet.surge; }),
  };
}

void add_settings(std::vector<Setting>& settings, const Config& config, const Option& option, const KeyPath& path,
                  std::size_t index) {
  if (!option.entries) return settings.push_back({path, &option, option.get(config, {index})});
  for (const std::string& entry : option.entries(config, index)) {
    KeyPath of_entry = path;
    of_entry.entry = entry;
    settings.push_back({std::move(of_entry), &option, option.get(config, {index, entry})});
  }
}

}  // namespace

std::string_view to_text(Effect effect) {
  switch (effect) {
    case Effect::Live:
      return "live";
    case Effect::RollWorkers:
      return "workers";
    case Effect::NeedsRestart:
      break;
  }
  return "restart";
}

std::string_view meaning_of(Effect effect) {
  switch (effect) {
    case Effect::Live:
      return "takes effect at once";
    case Effect::RollWorkers:
      return "takes effect in new workers: they are replaced slot by slot";
    case Effect::NeedsRestart:
      break;
  }
  return "takes effect when the supervisor is started anew";
}

const std::vector<Option>& options() {
  static const std::vector<Option> table = [] {
    std::vector<Option> all = make_options();
    for (std::vector<Option> rows : {bus_options(), health_rows(), recycle_rows(), front_options()})
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    return all;
  }();
  return table;
}

const Option* find_option(Scope scope, std::string_view key) {
  const auto found = std::find_if(options().begin(), options().end(),
                                  [&](const Option& option) { return option.scope == scope && option.key == key; });
  return found == options().end() ? nullptr : &*found;
}

std::string environment_name(std::string_view flag) {
  std::string name = "HOLDFAST_";
  for (const char c : flag.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

std::string short_name(const Option& option) {
  if (option.flag.empty()) return option.key;
  return option.letter.empty() ? option.flag : option.letter;
}

std::vector<Setting> settings_of(const Config& config) {
  std::vector<Setting> settings;
  const auto add = [&](Scope scope, const std::string& name, std::size_t index) {
    for (const Option& option : options()) {
      if (option.scope == scope) add_settings(settings, config, option, KeyPath{scope, name, option.key, ""}, index);
    }
  };
  add(Scope::Supervisor, "", 0);
  add(Scope::Bus, "", 0);
  for (std::size_t i = 0; i < config.listeners.size(); i++) add(Scope::Listener, config.listeners[i].name, i);
  for (std::size_t i = 0; i < config.pools.size(); i++) add(Scope::Pool, config.pools[i].name, i);
  return settings;
}

}  // namespace holdfast
