#include "config/options.h"

#include <iterator>
#include <set>
#include <utility>

#include "config/values.h"
#include "core/bucket_table.h"

namespace holdfast {

namespace {

// `access` names the member; its type chooses how the text is read and printed.
template <class Access>
Option row(std::string flag, std::string value_name, std::string group, std::string help, Access access) {
  return Option{std::move(flag),
                std::move(value_name),
                std::move(group),
                std::move(help),
                [access](Config& config, std::string_view text) { return parse_value(text, access(config)); },
                [access](const Config& config) { return value_text(access(config)); }};
}

std::vector<Option> make_options() {
  const std::string self = "Supervisor";
  const std::string where = "Placement and queues";
  const std::string life = "Life of a worker";
  const std::string restart = "Restarts";
  return {
      row(
          "--name", "NAME", self, "Name of this supervisor (default: the file name of the command)",
          [](auto& c) -> auto& { return c.name; }),
      row(
          "--control", "PATH", self,
          "Control socket (default: NAME.sock in /run/holdfast, $XDG_RUNTIME_DIR/holdfast or /tmp/holdfast-UID)",
          [](auto& c) -> auto& { return c.control_path; }),
      row(
          "--log-level", "LEVEL", self, "Least level that is logged: debug, info, warning or error",
          [](auto& c) -> auto& { return c.log_level; }),
      row(
          "--backlog", "N", self, "Connections that the kernel may hold for each listener (net.core.somaxconn caps it)",
          [](auto& c) -> auto& { return c.backlog; }),
      row(
          "--pool", "NAME", self, "Name of the pool of workers", [](auto& c) -> auto& { return c.pools.front().name; }),
      row(
          "--working-directory", "DIR", self, "Where the workers run (default: here)",
          [](auto& c) -> auto& { return c.pools.front().working_directory; }),

      row(
          "--intake", "INTAKE", where,
          "How workers receive connections: sdk, listen-fds, capture, none, or auto: what the first worker shows "
          "itself "
          "to be",
          [](auto& c) -> auto& { return c.pools.front().intake; }),
      row(
          "--plane", "PLANE", where,
          "Who places connections of workers with the SDK: pass (the supervisor) or steer (the kernel); auto: pass",
          [](auto& c) -> auto& { return c.pools.front().plane; }),
      row(
          "--hash-key", "HEX", where,
          "16 hexadecimal digits; the same on machines that must place clients alike (0...0: derived from the machine "
          "id)",
          [](auto& c) -> auto& { return c.hash_key; }),
      row(
          "--prefix-v4", "BITS", where, "Part of an IPv4 address that makes a client",
          [](auto& c) -> auto& { return c.pools.front().prefix.v4; }),
      row(
          "--prefix-v6", "BITS", where, "Part of an IPv6 address that makes a client",
          [](auto& c) -> auto& { return c.pools.front().prefix.v6; }),
      row(
          "--queue-limit", "N", where, "Connections that a worker may have been sent and not taken up",
          [](auto& c) -> auto& { return c.pools.front().queue_limit; }),
      row(
          "--hold-limit", "N", where, "Connections that wait for a slot whose worker is being restarted",
          [](auto& c) -> auto& { return c.pools.front().hold_limit; }),
      row(
          "--hold-timeout", "TIME", where,
          "How long a slot may be without a worker before its clients go to their second choice",
          [](auto& c) -> auto& { return c.pools.front().fleet.hold_timeout; }),
      row(
          "--overflow", "POLICY", where,
          "What happens over those limits: next (choice), wait (accepting pauses) or refuse",
          [](auto& c) -> auto& { return c.pools.front().overflow; }),

      row(
          "--cpus", "CPUS", life,
          "CPUs that are dealt out to the slots, as in 0-3,8, or all: every worker runs where the supervisor may",
          [](auto& c) -> auto& { return c.pools.front().cpus; }),
      row(
          "--start-timeout", "TIME", life, "From start to ready",
          [](auto& c) -> auto& { return c.pools.front().fleet.start_timeout; }),
      row(
          "--start-grace", "TIME", life,
          "A worker that tells nothing of itself counts as ready when it has lived so long",
          [](auto& c) -> auto& { return c.pools.front().start_grace; }),
      row(
          "--heartbeat-timeout", "TIME", life, "Without a heartbeat for so long a worker counts as hung (0: never)",
          [](auto& c) -> auto& { return c.pools.front().fleet.heartbeat_timeout; }),
      row(
          "--drain-timeout", "TIME", life, "From the request to drain to SIGTERM",
          [](auto& c) -> auto& { return c.pools.front().fleet.drain_timeout; }),
      row(
          "--kill-timeout", "TIME", life, "From SIGTERM (or SIGABRT, for the hung) to SIGKILL",
          [](auto& c) -> auto& { return c.pools.front().fleet.kill_timeout; }),
      row(
          "--stop-timeout", "TIME", life, "The whole of a graceful stop",
          [](auto& c) -> auto& { return c.pools.front().fleet.stop_timeout; }),

      row(
          "--restart-delay", "TIME", restart, "Before the restart after a first failure",
          [](auto& c) -> auto& { return c.pools.front().fleet.backoff.first; }),
      row(
          "--restart-delay-step", "TIME", restart,
          "After the second failure in a row; it doubles with each further one",
          [](auto& c) -> auto& { return c.pools.front().fleet.backoff.step; }),
      row(
          "--restart-delay-max", "TIME", restart, "It grows no further than this",
          [](auto& c) -> auto& { return c.pools.front().fleet.backoff.limit; }),
      row(
          "--stable-time", "TIME", restart, "A worker that served this long has made good earlier failures",
          [](auto& c) -> auto& { return c.pools.front().fleet.stable_time; }),
      row(
          "--start-limit", "N", restart, "So many failures within --start-limit-interval and the slot rests (0: never)",
          [](auto& c) -> auto& { return c.pools.front().fleet.start_limit.failures; }),
      row(
          "--start-limit-interval", "TIME", restart, "See --start-limit",
          [](auto& c) -> auto& { return c.pools.front().fleet.start_limit.interval; }),
      row(
          "--rest", "TIME", restart, "How long a slot rests before one probe is started",
          [](auto& c) -> auto& { return c.pools.front().fleet.start_limit.rest; }),
      row(
          "--no-restart-codes", "LIST", restart,
          "Exit codes by which a worker says that restarting is useless, or none",
          [](auto& c) -> auto& { return c.pools.front().no_restart_codes; }),
      row(
          "--canary", "TIME", restart, "How long a successor must be ready before it takes a slot",
          [](auto& c) -> auto& { return c.pools.front().fleet.canary; }),
      row(
          "--linger", "N", restart, "Replaced workers of a slot that may still drain while it is renewed once more",
          [](auto& c) -> auto& { return c.pools.front().fleet.linger; }),
      row(
          "--surge", "N", restart, "Slots that are renewed at a time",
          [](auto& c) -> auto& { return c.pools.front().fleet.surge; }),
  };
}

}  // namespace

const std::vector<Option>& options() {
  static const std::vector<Option> table = make_options();
  return table;
}

std::string environment_name(const Option& option) {
  std::string name = "HOLDFAST_";
  for (const char c : option.flag.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

namespace {

void find_mistakes_of_intake(const Config& config, const std::function<void(bool, std::string)>& require) {
  const PoolConfig& pool = config.pools.front();
  const bool by_sdk = pool.intake == Intake::Sdk || pool.intake == Intake::Auto;
  const std::string intake = "--intake " + value_text(pool.intake);
  require(pool.plane != Plane::Pass || by_sdk,
          "--plane pass needs workers of the SDK: with " + intake + " the kernel delivers to the workers' own sockets");
  require(pool.plane != Plane::Steer || pool.intake != Intake::None, "--plane steer is of no use to --intake none");
  require(pool.plane != Plane::Self || pool.intake == Intake::None,
          "--plane self is that of --intake none, which needs no --plane");
  require(config.listeners.empty() || pool.intake != Intake::None,
          "--intake none has no listener: leave out -l, or choose another intake");
  for (const ListenerConfig& listener : config.listeners) {
    const bool is_path = std::holds_alternative<UnixAddress>(listener.address);
    require(!is_path || by_sdk, "listener " + listener.name +
                                    ": a Unix path cannot be steered by the kernel: it needs --intake sdk, not " +
                                    value_text(pool.intake));
  }
}

}  // namespace

std::vector<std::string> find_mistakes(const Config& config) {
  std::vector<std::string> mistakes;
  const auto require = [&](bool holds, std::string mistake) {
    if (!holds) mistakes.push_back(std::move(mistake));
  };
  const PoolConfig& pool = config.pools.front();
  require(!config.listeners.empty() || pool.intake == Intake::None,
          "there is no listener: give one with -l, for instance -l :8080");
  require(!pool.command.empty(), "there is no worker command: give one after --, for instance -- ./server");
  require(config.name.empty() || is_name(config.name),
          "--name '" + config.name + "' may have letters, digits, '.', '_' and '-' only");
  require(is_name(pool.name), "--pool '" + pool.name + "' may have letters, digits, '.', '_' and '-' only");
  require(pool.workers <= kMaxSlots,
          "-w " + std::to_string(pool.workers) + ": at most " + std::to_string(kMaxSlots) + " workers");
  require(pool.prefix.v4 <= 32, "--prefix-v4 " + std::to_string(pool.prefix.v4) + ": at most 32");
  require(pool.prefix.v6 <= 128, "--prefix-v6 " + std::to_string(pool.prefix.v6) + ": at most 128");
  require(pool.queue_limit > 0, "--queue-limit 0 would let nobody in");
  require(config.backlog > 0, "--backlog must be at least 1");
  require(pool.fleet.surge > 0, "--surge 0 would renew nothing");
  require(pool.fleet.start_timeout > Duration::zero(), "--start-timeout 0 would end every worker at once");
  require(pool.fleet.stop_timeout >= pool.fleet.kill_timeout, "--stop-timeout must not be shorter than --kill-timeout");
  require(pool.fleet.backoff.limit >= pool.fleet.backoff.step,
          "--restart-delay-max must not be shorter than --restart-delay-step");
  const Duration heartbeat = pool.fleet.heartbeat_timeout;
  require(heartbeat == Duration::zero() || heartbeat >= std::chrono::milliseconds(100),
          "--heartbeat-timeout must be 0 or at least 100ms: workers beat four times in it");
  find_mistakes_of_intake(config, require);
  std::set<std::string> names;
  for (const ListenerConfig& listener : config.listeners) {
    require(names.insert(listener.name).second, "two listeners are named '" + listener.name + "'");
  }
  const std::vector<ListenerConfig>& listeners = config.listeners;
  for (auto one = listeners.begin(); one != listeners.end(); ++one) {
    for (auto other = std::next(one); other != listeners.end(); ++other) {
      if (!in_each_others_way(one->address, other->address)) continue;
      const std::string first = to_text(one->address);
      const std::string second = to_text(other->address);
      mistakes.push_back(first == second
                             ? "-l " + first + " is given twice"
                             : "-l " + first + " and -l " + second + " take the same port: give one of them");
    }
  }
  return mistakes;
}

}  // namespace holdfast
