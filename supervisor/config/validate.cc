#include "config/validate.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/chosen_intake.h"
#include "config/front_mistakes.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/values.h"
#include "core/bucket_table.h"
#include "core/node_command.h"

namespace holdfast {

namespace {

constexpr std::string_view kNameRule = "may have letters, digits, '.', '_' and '-' only";

class Finder {
 public:
  Finder(const Config& config, const Origins& origins)
      : config_(config), origins_(origins), has_file_(origins.contains(KeyPath{})) {}

  std::vector<Mistake> find() {
    check_supervisor();
    std::set<std::string> names;
    for (const PoolConfig& pool : config_.pools) {
      require(names.insert(pool.name).second, {pool_itself(pool)}, "two pools are named '" + pool.name + "'");
      check_pool(pool);
      check_intake(pool);
      check_health(pool);
      check_recycling(pool);
    }
    check_listeners();
    for (const FrontMistake& mistake : front_mistakes(config_)) {
      mistakes_.push_back({origin_of(mistake.about), mistake.text, mistake.about.front()});
    }
    return std::move(mistakes_);
  }

 private:
  static KeyPath own(std::string key) { return {Scope::Supervisor, "", std::move(key), ""}; }
  static KeyPath of(const PoolConfig& pool, std::string key) { return {Scope::Pool, pool.name, std::move(key), ""}; }
  static KeyPath of(const ListenerConfig& listener, std::string key) {
    return {Scope::Listener, listener.name, std::move(key), ""};
  }
  static KeyPath pool_itself(const PoolConfig& pool) { return of(pool, ""); }

  void check_supervisor() {
    const KeyPath name = own("name");
    require(config_.name.empty() || is_name(config_.name), {name},
            called(name) + " '" + config_.name + "' " + std::string(kNameRule));
    require(config_.backlog > 0, {own("backlog")}, called(own("backlog")) + " must be at least 1");
    const Intake first = config_.pools.front().intake;
    const bool serves_the_bus = first == Intake::Sdk && !config_.bus.redis.empty();  // for workers of other machines
    require(!config_.listeners.empty() || first == Intake::None || serves_the_bus, {own("")},
            has_file_
                ? R"(there is no listener: write [listeners.main] with an address, for instance address = ":8080")"
                : "there is no listener: give one with -l, for instance -l :8080");
    check_bus();
  }

  void check_bus() {
    const BusConfig& bus = config_.bus;
    const auto key = [](const char* word) { return KeyPath{Scope::Bus, "", word, ""}; };
    const std::string redis = called(key("redis"));
    require(bus.stream.empty() || !bus.redis.empty(), {key("stream")},
            called(key("stream")) + " goes through Redis: it needs " + redis);
    require(bus.stream_length > 0, {key("stream-length")}, called(key("stream-length")) + " 0 would keep nothing");
    for (const PoolConfig& pool : config_.pools) {
      require(
          pool.scope == PoolScope::Machine || !bus.redis.empty(), {of(pool, "scope")},
          called(of(pool, "scope")) + " fleet shares the pool with other machines through Redis: it needs " + redis);
    }
  }

  void check_pool(const PoolConfig& pool) {
    const Fleet::Policy& fleet = pool.fleet;
    const auto key = [&](const char* word) { return of(pool, word); };
    const auto name = [&](const char* word) { return called(of(pool, word)); };
    require(!pool.command.empty(), {key("command")},
            has_file_ ? "pool '" + pool.name + R"(' has no command: write for instance command = ["./server"])"
                      : "there is no worker command: give one after --, for instance -- ./server");
    require(is_name(pool.name), {pool_itself(pool)}, "--pool '" + pool.name + "' " + std::string(kNameRule));
    require(
        pool.workers <= kMaxSlots, {key("workers")},
        name("workers") + " " + std::to_string(pool.workers) + ": at most " + std::to_string(kMaxSlots) + " workers");
    require(pool.prefix.v4 <= 32, {key("prefix-v4")},
            name("prefix-v4") + " " + std::to_string(pool.prefix.v4) + ": at most 32");
    require(pool.prefix.v6 <= 128, {key("prefix-v6")},
            name("prefix-v6") + " " + std::to_string(pool.prefix.v6) + ": at most 128");
    require(pool.queue_limit > 0, {key("queue-limit")}, name("queue-limit") + " 0 would let nobody in");
    require(pool.nice >= -40 && pool.nice <= 40, {key("nice")},
            name("nice") + " " + std::to_string(pool.nice) + ": from -40 to 40");
    for (const int code : pool.no_restart_codes) {
      require(code >= 0 && code <= 255, {key("no-restart-codes")},
              name("no-restart-codes") + " " + std::to_string(code) + ": exit codes are 0 to 255");
    }
    require(fleet.surge > 0, {key("surge")}, name("surge") + " 0 would renew nothing");
    require(fleet.start_timeout > Duration::zero(), {key("start-timeout")},
            name("start-timeout") + " 0 would end every worker at once");
    require(pool.drain_spread <= fleet.drain_timeout, {key("drain-spread"), key("drain-timeout")},
            name("drain-spread") + " must not be longer than " + name("drain-timeout"));
    require(fleet.stop_timeout >= fleet.kill_timeout, {key("stop-timeout"), key("kill-timeout")},
            name("stop-timeout") + " must not be shorter than " + name("kill-timeout"));
    require(fleet.backoff.limit >= fleet.backoff.step, {key("restart-delay-max"), key("restart-delay-step")},
            name("restart-delay-max") + " must not be shorter than " + name("restart-delay-step"));
    require(fleet.heartbeat_timeout == Duration::zero() || fleet.heartbeat_timeout >= std::chrono::milliseconds(100),
            {key("heartbeat-timeout")},
            name("heartbeat-timeout") + " must be 0 or at least 100ms: workers beat four times in it");
  }

  void check_intake(const PoolConfig& pool) {
    const KeyPath intake = of(pool, "intake");
    const KeyPath plane = of(pool, "plane");
    const Intake chosen = chosen_intake(pool);
    const bool passes = chosen == Intake::Sdk || chosen == Intake::Auto || chosen == Intake::Node;
    const std::string its_intake = called(intake) + " " + value_text(pool.intake);
    require(pool.plane != Plane::Pass || passes, {plane, intake},
            called(plane) + " pass needs workers of the SDK: with " + its_intake +
                " the kernel delivers to the workers' own sockets");
    require(pool.plane != Plane::Steer || pool.intake != Intake::None, {plane, intake},
            called(plane) + " steer is of no use to " + its_intake);
    check_node(pool);
    require(pool.plane != Plane::Self || pool.intake == Intake::None, {plane, intake},
            called(plane) + " self is that of " + called(intake) + " none, which needs no " + called(plane));
    bool has_listener = false;
    for (const ListenerConfig& listener : config_.listeners) {
      const std::vector<const PoolConfig*> pools = pools_of(config_, listener);
      has_listener |= std::find(pools.begin(), pools.end(), &pool) != pools.end();
    }
    require(!has_listener || pool.intake != Intake::None, {intake},
            its_intake + " has no listener: leave out " + (has_file_ ? "those of the pool" : "-l") +
                ", or choose another intake");
    // Workers of the SDK may have nothing to do but what comes over the bus.
    const bool needs_none = pool.intake == Intake::None || pool.intake == Intake::Sdk;
    require(has_listener || needs_none || config_.listeners.empty(), {pool_itself(pool)},
            "pool '" + pool.name + "' has no listener: write pool = " + quoted(pool.name) +
                " for one of them, or, for the pool, intake = \"none\", or \"sdk\" if it only serves the bus");
  }

  void check_node(const PoolConfig& pool) {
    const KeyPath intake = of(pool, "intake");
    const KeyPath plane = of(pool, "plane");
    const KeyPath dialect = of(pool, "node-dialect");
    const bool meant = pool.node.dialect != NodeDialect::Auto;
    require(pool.plane != Plane::Steer || (pool.intake != Intake::Node && !meant), {plane, intake, dialect},
            called(plane) + " steer is of no use to Node.js workers with " +
                (meant ? called(dialect) : called(intake) + " node") + ": their connections are passed to them");
    require(!meant || pool.intake == Intake::Auto || pool.intake == Intake::Node, {dialect, intake},
            called(dialect) + " needs " + called(intake) + " node, not " + value_text(pool.intake));
    require(pool.node.sticky_by == NodeConfig::StickyBy::Address || pool.node.dialect == NodeDialect::SocketIo,
            {of(pool, "node-sticky-by"), dialect},
            called(of(pool, "node-sticky-by")) + " session needs " + called(dialect) + " socket.io");
    // Nobody who writes `npm start` means npm: without a wish of his own his program would have been given the channel.
    const bool by_launcher =
        pool.intake == Intake::Auto && pool.plane != Plane::Steer && launcher_in(pool.command).has_value();
    if (chosen_intake(pool) != Intake::Node && !by_launcher) return;
    const std::optional<std::string> why = why_no_node_worker(pool.command);
    require(!why, {of(pool, "command"), intake, dialect},
            why.value_or("") + (by_launcher ? "; or choose " + called(intake) +
                                                  " capture, by which the kernel delivers to whatever binds the address"
                                            : ""));
  }

  void check_health(const PoolConfig& pool) {
    const HealthConfig& health = pool.health;
    const auto key = [&](const char* word) { return of(pool, word); };
    const auto name = [&](const char* word) { return called(of(pool, word)); };
    require(health.http.empty() || health.command.empty(), {key("health-command"), key("health-http")},
            name("health-command") + " and " + name("health-http") + ": choose one of them");
    const bool is_target = health.http.empty() || (health.http.front() == '/' && is_printable(health.http));
    require(
        is_target, {key("health-http")},
        name("health-http") + " " + quoted(health.http) + " is no target of a request: write for instance /healthz");
    require(health.http.empty() || by_channel(pool), {key("health-http"), key("intake")},
            name("health-http") + " needs workers that are passed connections: with " + called(of(pool, "intake")) +
                " " + value_text(pool.intake) + " use health-command");
    require(health.policy.interval >= std::chrono::milliseconds(100), {key("health-interval")},
            name("health-interval") + " must be at least 100ms");
    require(health.policy.timeout >= std::chrono::milliseconds(10), {key("health-timeout")},
            name("health-timeout") + " must be at least 10ms");
    require(health.policy.fail > 0, {key("health-fail")}, name("health-fail") + " must be at least 1");
    require(health.policy.pass > 0, {key("health-pass")}, name("health-pass") + " must be at least 1");
  }

  void check_recycling(const PoolConfig& pool) {
    const auto key = [&](const char* word) { return of(pool, word); };
    const auto name = [&](const char* word) { return called(of(pool, word)); };
    require(pool.recycle.jitter <= 90, {key("recycle-jitter")},
            name("recycle-jitter") + " " + std::to_string(pool.recycle.jitter) + ": at most 90 percent");
    require(pool.recycle.connections == 0 || by_channel(pool), {key("recycle-connections"), key("intake")},
            name("recycle-connections") + " needs workers that tell how many they take up: with " +
                called(of(pool, "intake")) + " " + value_text(pool.intake) + " use recycle-age or recycle-memory");
  }

  // Whether its workers may turn out to be such that we give connections to them ourselves.
  static bool by_channel(const PoolConfig& pool) {
    const Intake intake = chosen_intake(pool);
    return intake == Intake::Sdk || intake == Intake::Node || intake == Intake::Auto;
  }

  static bool is_printable(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  }

  void check_listeners() {
    std::set<std::string> names;
    for (const ListenerConfig& listener : config_.listeners) {
      require(names.insert(listener.name).second, {of(listener, "")},
              "two listeners are named '" + listener.name + "'");
      check_listener(listener);
    }
    for (auto one = config_.listeners.begin(); one != config_.listeners.end(); ++one) {
      for (auto other = std::next(one); other != config_.listeners.end(); ++other) check_distance(*one, *other);
    }
  }

  void check_listener(const ListenerConfig& listener) {
    const bool is_path = std::holds_alternative<UnixAddress>(listener.address);
    // By default an address is any port of any address: that nobody has written it is not to go unnoticed.
    require(!has_file_ || origins_.contains(of(listener, "address")), {of(listener, "address")},
            "listener '" + listener.name + R"(' has no address: write for instance address = ":8080")");
    const PoolConfig* const pool = pool_of(listener);
    if (pool == nullptr) {
      std::vector<std::string> known;
      for (const PoolConfig& each : config_.pools) known.push_back(each.name);
      return require(false, {of(listener, "pool")},
                     "listener '" + listener.name + "': there is no pool '" + listener.pool + "'" +
                         suggestion(listener.pool, known));
    }
    const Intake intake = chosen_intake(*pool);
    require(!std::holds_alternative<UdpAddress>(listener.address) || intake != Intake::Node,
            {of(listener, "address"), of(*pool, "intake")},
            "listener " + listener.name +
                ": datagrams do not go over the channel of Node.js: a program that binds the "
                "address is served with " +
                called(of(*pool, "intake")) + " capture");
    require(!is_path || intake == Intake::Sdk || intake == Intake::Auto || intake == Intake::Node,
            {of(listener, "address"), of(*pool, "intake")},
            "listener " + listener.name + ": a Unix path cannot be steered by the kernel: it needs " +
                called(of(*pool, "intake")) + " sdk, not " + value_text(pool->intake));
  }

  void check_distance(const ListenerConfig& one, const ListenerConfig& other) {
    if (!in_each_others_way(one.address, other.address)) return;
    const KeyPath later = of(other, "address");
    if (!written_in_file(of(one, "address")) && !written_in_file(later)) {
      const std::string first = to_text(one.address);
      const std::string second = to_text(other.address);
      return require(false, {later},
                     first == second ? "-l " + first + " is given twice"
                                     : "-l " + first + " and -l " + second + " take the same port: give one of them");
    }
    require(false, {later, of(one, "address")},
            "listener '" + other.name + "' takes " + to_text(other.address) + ", but listener '" + one.name +
                "' takes " + to_text(one.address));
  }

  [[nodiscard]] const PoolConfig* pool_of(const ListenerConfig& listener) const {
    if (listener.pool.empty()) return &config_.pools.front();
    for (const PoolConfig& pool : config_.pools) {
      if (pool.name == listener.pool) return &pool;
    }
    return nullptr;
  }

  [[nodiscard]] bool written_in_file(const KeyPath& path) const {
    const auto origin = origins_.find(path);
    return origin != origins_.end() && origin->second.kind == Origin::Kind::File;
  }

  // The key, if a file says it or could say it; else the option. That a variable stands behind it is told at the end.
  std::string called(const KeyPath& path) {
    const auto origin = origins_.find(path);
    const bool by_key = origin == origins_.end() ? has_file_ : origin->second.kind == Origin::Kind::File;
    if (by_key) return path.key;
    const std::string name = short_name(*find_option(path.scope, path.key));
    if (origin != origins_.end() && origin->second.kind == Origin::Kind::Variable) {
      variables_[name] = name + " is from " + origin->second.name;
    }
    return name;
  }

  // `about`: the first of these that somebody has written is the place that the mistake is shown at.
  void require(bool holds, std::initializer_list<KeyPath> about, const std::string& text) {
    std::string sources;
    for (const auto& [name, source] : std::exchange(variables_, {})) sources += (sources.empty() ? "" : ", ") + source;
    if (holds) return;
    Mistake mistake{origin_of(std::span(about.begin(), about.size())), text, *about.begin()};
    if (!sources.empty()) mistake.text += " (" + sources + ")";
    mistakes_.push_back(std::move(mistake));
  }

  [[nodiscard]] Origin origin_of(std::span<const KeyPath> about) const {
    for (const KeyPath& path : about) {
      if (const auto origin = origins_.find(path); origin != origins_.end()) return origin->second;
    }
    KeyPath owner = *about.begin();
    owner.key.clear();
    for (const KeyPath& path : {owner, KeyPath{}}) {
      if (const auto origin = origins_.find(path); origin != origins_.end()) return origin->second;
    }
    return {};
  }

  const Config& config_;
  const Origins& origins_;
  const bool has_file_;
  std::map<std::string, std::string> variables_;  // of the mistake that is being worded
  std::vector<Mistake> mistakes_;
};

}  // namespace

std::vector<Mistake> find_mistakes(const Config& config, const Origins& origins) {
  return Finder(config, origins).find();
}

}  // namespace holdfast
