#include "config/front_mistakes.h"

#include <algorithm>
#include <utility>

#include "config/chosen_intake.h"
#include "config/front_values.h"

namespace holdfast {

namespace {

constexpr int kMostWeight = 65'535;

KeyPath of(const ListenerConfig& listener, std::string key, std::string entry = "") {
  return {Scope::Listener, listener.name, std::move(key), std::move(entry)};
}
KeyPath of(const PoolConfig& pool, std::string key) { return {Scope::Pool, pool.name, std::move(key), ""}; }

const PoolConfig* find_pool(const Config& config, const std::string& name) {
  if (name.empty()) return &config.pools.front();
  const auto found =
      std::find_if(config.pools.begin(), config.pools.end(), [&](const PoolConfig& pool) { return pool.name == name; });
  return found == config.pools.end() ? nullptr : &*found;
}

// Whether the supervisor itself accepts and passes every connection of the pool, whatever its workers turn out to be.
bool is_surely_passed(const PoolConfig& pool) {
  const Intake intake = chosen_intake(pool);
  return intake == Intake::Node || (intake == Intake::Sdk && pool.plane != Plane::Steer);
}

// The keys of a listener that say something other than nothing, and that only the supervisor can do, with a connection in its hands.
std::vector<std::string> front_keys_of(const ListenerConfig& listener) {
  const AdmissionConfig& admission = listener.admission;
  const ListenerConfig plain;
  const std::pair<const char*, bool> keys[] = {
      {"proxy-protocol", listener.proxy_protocol.mode != ProxyPolicy::Mode::Off},
      {"routes", !listener.routes.empty()},
      {"allow", !admission.allow_file.empty()},
      {"deny", !admission.deny_file.empty()},
      {"source-rate", admission.rate != 0},
      {"source-connections", admission.source_connections != 0},
      {"total-connections", admission.total_connections != 0},
      {"ban-after", admission.ban_after != 0},
      {"admission", admission.enforcement != plain.admission.enforcement},
      {"dry-run", !admission.dry_run.empty()},
      {"refusal", admission.form != plain.admission.form},
      {"preface-timeout", listener.preface_timeout != plain.preface_timeout},
      {"preface-limit", listener.preface_limit != plain.preface_limit},
  };
  std::vector<std::string> used;
  for (const auto& [key, is_used] : keys) {
    if (is_used) used.emplace_back(key);
  }
  return used;
}

class Finder {
 public:
  explicit Finder(const Config& config) : config_(config) {}

  std::vector<FrontMistake> find() {
    for (const PoolConfig& pool : config_.pools) check_pool(pool);
    for (const ListenerConfig& listener : config_.listeners) check_listener(listener);
    return std::move(mistakes_);
  }

 private:
  void require(bool holds, std::vector<KeyPath> about, std::string text) {
    if (!holds) mistakes_.push_back({std::move(about), std::move(text)});
  }

  void check_pool(const PoolConfig& pool) {
    const auto in_range = [](int weight) { return weight >= 0 && weight <= kMostWeight; };
    require(std::all_of(pool.weights.begin(), pool.weights.end(), in_range), {of(pool, "weights")},
            "weights are numbers from 0 to " + std::to_string(kMostWeight));
    const bool has_weight =
        std::any_of(pool.weights.begin(), pool.weights.end(), [](int weight) { return weight != 0; });
    require(pool.weights.empty() || has_weight || pool.weights.size() < pool.workers, {of(pool, "weights")},
            "weights of 0 alone leave no slot that could serve");
    require(pool.balance_factor == 0 || pool.balance_factor >= 100, {of(pool, "balance-factor")},
            "balance-factor " + std::to_string(pool.balance_factor) +
                ": below 100 percent of their shares the slots together could not take all connections");
    require(pool.balance_factor == 0 || is_by_key(pool.placement), {of(pool, "balance-factor"), of(pool, "placement")},
            "balance-factor bounds placement by key; " + value_text(pool.placement) + " goes by load as it is");
    const bool has_text_key = std::any_of(pool.key.begin(), pool.key.end(),
                                          [](const PrefaceKey& key) { return std::holds_alternative<TextKey>(key); });
    require(
        pool.placement != Placement::IpHash || !has_text_key, {of(pool, "placement"), of(pool, "key")},
        "placement ip-hash is that of nginx, which knows addresses alone: choose another key, or another placement");
    const bool has_other_address = std::any_of(pool.key.begin(), pool.key.end(), [](const PrefaceKey& key) {
      return std::holds_alternative<RemotePrefixKey>(key) || std::holds_alternative<ForwardedForKey>(key);
    });
    require(pool.placement != Placement::IpHash || !has_other_address, {of(pool, "placement"), of(pool, "key")},
            "placement ip-hash is that of nginx, which takes IPv6 addresses whole: of remote-prefix and forwarded-for "
            "there is "
            "only a hash; choose remote-address or proxy-address, or another placement");
    const PoolConfig plain;
    if (pool.placement != plain.placement)
      require_passed(pool, of(pool, "placement"), "placement " + value_text(pool.placement));
    if (pool.balance_factor != 0) require_passed(pool, of(pool, "balance-factor"), "balance-factor");
    if (pool.max_connections != 0) require_passed(pool, of(pool, "max-connections"), "max-connections");
    if (pool.max_slot_connections != 0) require_passed(pool, of(pool, "max-slot-connections"), "max-slot-connections");
    const LimitSet own = Limit::Connections | LimitSet(Limit::SlotConnections);
    require((pool.dry_run & own) == pool.dry_run, {of(pool, "dry-run")},
            "dry-run of a pool is for max-connections and max-slot-connections; the other limits are those of a "
            "listener, and are tried there");
    if (pool.key != plain.key) require_passed(pool, of(pool, "key"), "key " + to_plain(value_of(pool.key)));
  }

  // What looks at connections can only be had where the supervisor has them in its hands.
  void require_passed(const PoolConfig& pool, KeyPath about, const std::string& what) {
    if (is_surely_passed(pool)) return;
    const std::string why = pool.intake == Intake::Auto
                                ? "workers of intake auto may turn out to be served in the steer plane, where"
                                : "pool '" + pool.name + "' is in the steer plane, where";
    mistakes_.push_back({{std::move(about), of(pool, "intake"), of(pool, "plane")},
                         what + " cannot be had: " + why +
                             " the kernel places by addresses before anybody sees a connection; write intake = "
                             "\"sdk\" (and no plane) for pool '" +
                             pool.name + "', whose workers must then be linked with the SDK"});
  }

  void check_listener(const ListenerConfig& listener) {
    require(listener.preface_timeout > Duration::zero(), {of(listener, "preface-timeout")},
            "preface-timeout 0 would give no client the time to send anything");
    require(listener.preface_limit > 0, {of(listener, "preface-limit")}, "preface-limit 0 would let nobody in");
    check_routes(listener);
    check_admission(listener);
    const bool is_udp = std::holds_alternative<UdpAddress>(listener.address);
    for (const std::string& key : front_keys_of(listener)) {
      require(!is_udp, {of(listener, key)},
              key + " cannot be had: listener '" + listener.name + "' is for datagrams, which the kernel places");
      if (is_udp) continue;
      for (const PoolConfig* const pool : pools_of(config_, listener)) require_passed(*pool, of(listener, key), key);
    }
  }

  void check_admission(const ListenerConfig& listener) {
    const AdmissionConfig& admission = listener.admission;
    const bool is_path = std::holds_alternative<UnixAddress>(listener.address);
    const auto require_ends = [&](unsigned limit, const char* key) {
      require(!is_path || limit == 0, {of(listener, key)},
              std::string(key) +
                  " cannot be had: which connections of a Unix path are open, the kernel tells nobody by "
                  "their ends; listen on 127.0.0.1, or bound the pool (max-connections)");
    };
    require_ends(admission.source_connections, "source-connections");
    require_ends(admission.total_connections, "total-connections");
    require(admission.source.v4 <= 32, {of(listener, "source-prefix-v4")}, "source-prefix-v4: at most 32");
    require(admission.source.v6 <= 128, {of(listener, "source-prefix-v6")}, "source-prefix-v6: at most 128");
    require(admission.sources > 0, {of(listener, "source-limit")}, "source-limit 0 would remember no source");
    require(admission.rate_period > Duration::zero(), {of(listener, "source-rate-period")},
            "source-rate-period 0 is no time to count in");
    require(admission.ban_after == 0 || admission.remembers_sources(),
            {of(listener, "ban-after"), of(listener, "source-rate")},
            "ban-after counts what source-rate and source-connections refuse: choose one of them as well");
  }

  void check_routes(const ListenerConfig& listener) {
    std::vector<std::string> names;
    for (const PoolConfig& pool : config_.pools) names.push_back(pool.name);
    const bool is_proxied = listener.proxy_protocol.mode != ProxyPolicy::Mode::Off;
    for (const RouteFault& fault :
         faults_in(listener.routes, names, is_proxied ? TlsSource::ProxyHeader : TlsSource::Hello)) {
      const std::string number = std::to_string(fault.route + 1);
      mistakes_.push_back({{of(listener, "routes", number), of(listener, "routes")},
                           "route " + number + " of listener '" + listener.name + "': " + fault.reason});
    }
  }

  const Config& config_;
  std::vector<FrontMistake> mistakes_;
};

}  // namespace

std::vector<FrontMistake> front_mistakes(const Config& config) { return Finder(config).find(); }

std::vector<const PoolConfig*> pools_of(const Config& config, const ListenerConfig& listener) {
  std::vector<const PoolConfig*> pools;
  const auto add = [&](const std::string& name) {
    const PoolConfig* const pool = find_pool(config, name);
    if (pool != nullptr && std::find(pools.begin(), pools.end(), pool) == pools.end()) pools.push_back(pool);
  };
  add(listener.pool);
  for (const Route& route : listener.routes) {
    if (const auto* const to_pool = std::get_if<ToPool>(&route.then)) add(to_pool->pool);
  }
  return pools;
}

}  // namespace holdfast
