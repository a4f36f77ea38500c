#include "front_door.h"

#include <holdfast/worker.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "config/front_values.h"
#include "wire/channel_frames.h"

namespace holdfast {

namespace {

// Faults of clients are logged so often and no more: each may come a thousand times a second.
constexpr Duration kReportPeriod = std::chrono::seconds(5);

Refusal refusal_of(ProxyFault fault) {
  static_assert(static_cast<int>(Refusal::ProxyBadChecksum) - static_cast<int>(Refusal::ProxyNoHeader) ==
                static_cast<int>(ProxyFault::BadChecksum) - static_cast<int>(ProxyFault::NoHeader));
  return static_cast<Refusal>(static_cast<int>(Refusal::ProxyNoHeader) + static_cast<int>(fault));
}

Endpoint endpoint_of(const IpAddress& address, std::uint16_t port) {
  return {address.is_v6() ? Endpoint::Family::V6 : Endpoint::Family::V4, address, port};
}

std::string text_of(const Endpoint& endpoint) {
  if (endpoint.family == Endpoint::Family::Unix) return "a Unix client";
  const std::string address = endpoint.address.text();
  return (endpoint.address.is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(endpoint.port);
}

// What the worker is told of the header beside the addresses.
std::string details_of(const ProxyTlvs& tlvs) {
  ConnectionDetails details;
  const auto number = [](auto value) {
    std::string text;
    for (std::size_t i = 0; i < sizeof value; i++) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
  };
  details.add(HF_DETAIL_ALPN, tlvs.alpn);
  details.add(HF_DETAIL_AUTHORITY, tlvs.authority);
  details.add(HF_DETAIL_UNIQUE_ID, tlvs.unique_id);
  details.add(HF_DETAIL_AWS_ENDPOINT, tlvs.aws_endpoint);
  if (tlvs.azure_link) details.add(HF_DETAIL_AZURE_LINK, number(*tlvs.azure_link));
  if (tlvs.google_connection) details.add(HF_DETAIL_GOOGLE_CONNECTION, number(*tlvs.google_connection));
  return details.take();
}

// Takes over whom the header names. Without a name the connection's own addresses hold.
void take_addresses(const ProxyHeader& header, Arrival& arrival) {
  if (const auto* internet = std::get_if<ProxyInternet>(&header.addresses)) {
    arrival.remote = endpoint_of(internet->source, internet->source_port);
    arrival.local = endpoint_of(internet->destination, internet->destination_port);
    arrival.is_proxied = true;
  } else if (std::holds_alternative<ProxyUnix>(header.addresses)) {
    arrival.remote = Endpoint{};
    arrival.is_proxied = true;
  }
}

}  // namespace

bool FrontDoor::is_needed(const ListenerConfig& config, const std::vector<const PoolConfig*>& pools) {
  if (config.proxy_protocol.mode != ProxyPolicy::Mode::Off || !config.routes.empty()) return true;
  if (Gatekeeper::is_needed(config.admission)) return true;
  if (config.admission.form == AdmissionConfig::Form::Http) return true;
  const LimitSet tried = config.admission.tried();
  const LimitSet of_pools = Limit::Connections | LimitSet(Limit::SlotConnections);
  const std::vector<PrefaceKey> plain = {RemoteAddressKey{}};
  return std::any_of(pools.begin(), pools.end(), [&](const PoolConfig* pool) {
    return pool->key != plain || (pool->bounds_connections() && !((tried | pool->dry_run) & of_pools).empty());
  });
}

Result<std::unique_ptr<FrontDoor>> FrontDoor::create(Loop& loop, const ListenerConfig& config, HashKey key,
                                                     std::vector<Way> ways) {
  Result<std::unique_ptr<Gatekeeper>> keeper = Gatekeeper::create(loop, config.name, config.admission, key);
  if (!keeper) return std::move(keeper).error();
  Result<ArrivalWatch> watch = ArrivalWatch::create();
  if (!watch) return std::move(watch).error();
  return std::unique_ptr<FrontDoor>(
      new FrontDoor(loop, config, key, std::move(ways), *std::move(watch), *std::move(keeper)));
}

FrontDoor::FrontDoor(Loop& loop, const ListenerConfig& config, HashKey key, std::vector<Way> ways, ArrivalWatch watch,
                     std::unique_ptr<Gatekeeper> keeper)
    : loop_(loop),
      key_(key),
      config_(config),
      ways_(std::move(ways)),
      routes_(config.routes),
      senders_(config.proxy_protocol.senders),
      watch_(std::move(watch)),
      keeper_(std::move(keeper)),
      farewell_(loop),
      buffer_(kMaxPreface),
      watcher_(loop, watch_.fd(), [this](FdWatcher::Ready) { on_arrivals(); }),
      timeout_(loop, [this] { on_due(); }),
      room_(loop, [this] { look_for_room(); }) {
  needs_.http = routes_.needs_http();
  needs_.tls = routes_.needs_tls();
  for (const Target& target : ways_.front()) {
    if (target.pool == nullptr) continue;
    for (const PrefaceKey& each : target.pool->key) {
      needs_.http |= needs_http(each);
      needs_.tls |= needs_server_name(each);
    }
  }
  watcher_.watch(FdWatcher::Interest::Readable);
  hang_refusers();
  hang_dry_run();
}

// Pools that have no room for a client of ours refuse him in our way.
void FrontDoor::hang_refusers() {
  const auto refuser = [this, alive = alive_](UniqueFd fd, Refusal refusal) {
    if (*alive && config_.admission.form == AdmissionConfig::Form::Http) return farewell_.say(std::move(fd), refusal);
    refuse_connection(std::move(fd));
  };
  for (const Way& way : ways_) {
    for (const Target& target : way) {
      if (target.pool != nullptr) target.dispatcher->set_refuser(target.listener, refuser);
    }
  }
}

// Which limits of the pools hold none of our clients up, and whom they would have.
void FrontDoor::hang_dry_run() {
  const Dispatcher::DryRun dry_run{config_.admission.tried(), [this, alive = alive_](Limit limit) {
                                     if (*alive) keeper_->count_would_refuse(key_of(limit));
                                   }};
  for (const Way& way : ways_) {
    for (const Target& target : way) {
      if (target.pool != nullptr && !target.alive.expired()) target.dispatcher->set_dry_run(target.listener, dry_run);
    }
  }
}

FrontDoor::~FrontDoor() {
  *alive_ = false;
  for (const Way& way : ways_) {
    for (const Target& target : way) {
      if (target.pool == nullptr || target.alive.expired()) continue;
      if (target.dispatcher != way.front().dispatcher) target.dispatcher->close_guest(target.listener);
    }
  }
}

bool FrontDoor::is_known_everywhere() const {
  return std::all_of(ways_.begin(), ways_.end(), [](const Way& way) {
    return std::all_of(way.begin() + 1, way.end(), [&](const Target& target) {
      if (target.pool == nullptr || target.alive.expired()) return true;
      if (target.dispatcher == way.front().dispatcher) return true;
      return account_of(target).stage() != Listener::Stage::Coming;
    });
  });
}

std::vector<ListenerId> FrontDoor::listeners() const {
  std::vector<ListenerId> listeners;
  for (const Way& way : ways_) listeners.push_back(way.front().listener);
  return listeners;
}

bool FrontDoor::is_for(ListenerId listener) const {
  return std::any_of(ways_.begin(), ways_.end(), [&](const Way& way) { return way.front().listener == listener; });
}

const FrontDoor::Way& FrontDoor::way_of(ListenerId listener) const {
  const auto comes_there = [&](const Way& way) { return way.front().listener == listener; };
  return *std::find_if(ways_.begin(), ways_.end(), comes_there);
}

void FrontDoor::enter(ListenerId listener, AcceptedConnection connection) {
  const Way& way = way_of(listener);
  const PrefaceNeeds needs = needs_of(connection.remote);
  // Behind a proxy the client is known only once its header is.
  if (needs.proxy == PrefaceNeeds::Proxy::No && !lets_in(way, connection.fd, connection.remote)) return;
  look_or_wait(way, std::move(connection), needs);
}

void FrontDoor::enter_again(ListenerId listener, AcceptedConnection connection) {
  report_from(connection.fd, 1);  // else what the program before us waited for would go with it to the worker
  const PrefaceNeeds needs = needs_of(connection.remote);
  look_or_wait(way_of(listener), std::move(connection), needs);
}

void FrontDoor::save(SavedPool& saved, FdList& fds, std::size_t most_open) const {
  for (const auto& [number, connection] : waiting_) {
    const bool has_address = connection.sender.family != Endpoint::Family::Unix;
    saved.arriving.push_back({fds.add("connection", connection.fd), connection.way->front().listener,
                              has_address ? connection.sender.address.text() : "", connection.sender.port});
  }
  if (is_retired_) return;  // the door that it has now is asked what sources have done
  SavedDoor& door = saved.doors.emplace_back();
  door.listener = ways_.front().front().listener;
  door.missing = missing_;
  keeper_->save(door, most_open);
}

void FrontDoor::recall(const SavedDoor& saved) {
  missing_ = saved.missing;
  keeper_->recall(saved);
}

void FrontDoor::look_or_wait(const Way& way, AcceptedConnection connection, PrefaceNeeds needs) {
  if (!needs.any()) return route(way, std::move(connection.fd), connection.remote, Preface{});
  Waiting arrived{&way, std::move(connection.fd), connection.remote, PrefaceReader(needs), {}};
  // Mostly the bytes are there: clients and proxies send them at once.
  if (const std::optional<std::size_t> least = look(arrived, PrefaceReader::Stream::Open))
    wait(std::move(arrived), *least);
}

Outcome FrontDoor::change(const ListenerConfig& config) {
  if (config.admission != config_.admission) {
    if (Outcome changed = keeper_->change(config.admission); !changed) return changed;
    config_.admission = config.admission;
    hang_dry_run();
  }
  config_.preface_timeout = config.preface_timeout;
  config_.preface_limit = config.preface_limit;
  // Nobody has more time than those who come from now on, so that the oldest goes first.
  const TimePoint latest = loop_.now() + config_.preface_timeout;
  for (auto& [number, connection] : waiting_) connection.until = std::min(connection.until, latest);
  if (!waiting_.empty()) timeout_.arm(waiting_.begin()->second.until);
  look_for_room();
  return Done{};
}

void FrontDoor::close() {
  for (auto& [number, connection] : std::exchange(waiting_, {}))
    refuse(*connection.way, std::move(connection.fd), Refusal::Stopping);
  timeout_.disarm();
  for (Queued& queued : std::exchange(queue_, {}))
    refuse(*queued.way, std::move(queued.connection.fd), Refusal::Stopping);
  room_.disarm();
}

FrontDoor::Decision FrontDoor::foresee(const PrefaceFacts& facts) const {
  Decision decision = decide(ways_.front(), facts);
  const bool is_full = keeper_->is_full() && queue_.size() >= own_pool().wait_limit;
  if (is_full && !decision.refusal && !config_.admission.tried().contains(Limit::TotalConnections))
    decision.refusal = Refusal::TotalConnections;
  if (const std::optional<Refusal> refusal = keeper_->foresee(facts.remote)) decision.refusal = refusal;
  return decision;
}

std::string FrontDoor::route_text(std::size_t route) const {
  return std::to_string(route + 1) + ": " + value_text(routes_[route]);
}

ClientsAnswer::Listener FrontDoor::clients(std::size_t count) const {
  ClientsAnswer::Listener listener;
  listener.name = config_.name;
  listener.limits = limits();
  listener.remembers = true;
  listener.counts_open = keeper_->counts_open();
  listener.sources = keeper_->heaviest(count);
  return listener;
}

bool FrontDoor::always_proxied() const { return config_.proxy_protocol.mode == ProxyPolicy::Mode::Required; }

PrefaceNeeds FrontDoor::needs_of(const Endpoint& sender) const {
  PrefaceNeeds needs = needs_;
  if (config_.proxy_protocol.mode == ProxyPolicy::Mode::Required) needs.proxy = PrefaceNeeds::Proxy::Required;
  const bool may_write = config_.proxy_protocol.mode == ProxyPolicy::Mode::OptionalFrom &&
                         sender.family != Endpoint::Family::Unix && senders_.contains(sender.address);
  if (may_write) needs.proxy = PrefaceNeeds::Proxy::Optional;
  return needs;
}

void FrontDoor::wait(Waiting connection, std::size_t least) {
  connection.until = loop_.now() + config_.preface_timeout;
  connection.is_low_water_set = least > 1;
  if (connection.is_low_water_set) report_from(connection.fd, least);
  const std::uint64_t number = ++last_;
  if (const Outcome added = watch_.add(connection.fd, number); !added) {
    report(connection.sender, added.error().message());
    return refuse(*connection.way, std::move(connection.fd), Refusal::PrefaceOverflow);
  }
  if (waiting_.empty()) timeout_.arm(connection.until);
  waiting_.emplace(number, std::move(connection));
  if (waiting_.size() <= config_.preface_limit) return;
  const auto oldest = waiting_.begin();
  report(oldest->second.sender, "too many connections wait for their first bytes (preface-limit), and it has longest");
  refuse(*oldest->second.way, std::move(oldest->second.fd), Refusal::PrefaceOverflow);
  waiting_.erase(oldest);
}

void FrontDoor::on_arrivals() {
  std::array<ArrivalWatch::Arrival, 256> arrivals;
  const std::size_t count = watch_.take(arrivals);
  for (std::size_t i = 0; i < count; i++) {
    const auto found = waiting_.find(arrivals[i].token);
    if (found == waiting_.end()) continue;  // refused within this turn
    Waiting& connection = found->second;
    const auto stream = arrivals[i].ended ? PrefaceReader::Stream::Ended : PrefaceReader::Stream::Open;
    const std::optional<std::size_t> least = look(connection, stream);
    if (!least) {
      waiting_.erase(found);
    } else if (*least > 1 || connection.is_low_water_set) {
      connection.is_low_water_set = true;
      report_from(connection.fd, *least);
    }
  }
  flush_guests();
}

void FrontDoor::on_due() {
  while (!waiting_.empty() && waiting_.begin()->second.until <= loop_.now()) {
    const auto oldest = waiting_.begin();
    Waiting connection = std::move(oldest->second);
    waiting_.erase(oldest);
    if (!look(connection, PrefaceReader::Stream::Overdue)) continue;
    report(connection.sender, "the first bytes that placing it needs did not come in time (preface-timeout)");
    refuse(*connection.way, std::move(connection.fd), Refusal::PrefaceTimeout);
  }
  if (!waiting_.empty()) timeout_.arm(waiting_.begin()->second.until);
  flush_guests();
}

std::optional<std::size_t> FrontDoor::look(Waiting& connection, PrefaceReader::Stream stream) {
  const Peeked peeked = peek(connection.fd, buffer_);
  if (peeked.state == Peeked::State::Ended) {
    refuse(*connection.way, std::move(connection.fd), Refusal::ClientLeft);
    return std::nullopt;
  }
  if (peeked.state == Peeked::State::Empty && stream != PrefaceReader::Stream::Overdue) return 1;
  auto found = connection.reader.look(std::string_view(buffer_.data(), peeked.length), stream);
  if (const auto* more = std::get_if<NeedMore>(&found)) return more->at_least;
  if (const auto* fault = std::get_if<ProxyFault>(&found)) {
    report(connection.sender, "PROXY header: " + std::string(text_of(*fault)));
    refuse(*connection.way, std::move(connection.fd), refusal_of(*fault));
    return std::nullopt;
  }
  auto& preface = std::get<Preface>(found);
  // Routes may be there to keep somebody out: who is silent until they are not asked would go past them.
  const bool is_for_routes = routes_.needs_http() || routes_.needs_tls();
  if (preface.missing == Missing::Silent && is_for_routes) return 1;
  admit(connection, std::move(preface));
  return std::nullopt;
}

// Of a connection whose preface is known. What waited is not watched any more: it goes to somebody else.
void FrontDoor::admit(Waiting& connection, Preface preface) {
  if (connection.until != TimePoint{}) watch_.remove(connection.fd);
  if (connection.is_low_water_set) report_from(connection.fd, 1);
  if (preface.proxy && !take_bytes(connection.fd, preface.proxy->length))
    return refuse(*connection.way, std::move(connection.fd), Refusal::ClientLeft);
  route(*connection.way, std::move(connection.fd), connection.sender, preface);
}

void FrontDoor::route(const Way& way, UniqueFd fd, const Endpoint& sender, const Preface& preface) {
  Arrival arrival;
  arrival.fd = std::move(fd);
  arrival.remote = sender;
  if (preface.proxy) {
    take_addresses(*preface.proxy, arrival);
    arrival.details = details_of(preface.proxy->tlvs);
  }
  const bool was_judged = needs_of(sender).proxy == PrefaceNeeds::Proxy::No;
  if (!was_judged && !lets_in(way, arrival.fd, arrival.remote)) return;
  if (preface.missing) ++missing_[std::string(text_of(*preface.missing))];
  PrefaceFacts facts;
  if (arrival.remote.family != Endpoint::Family::Unix) facts.remote = arrival.remote.address;
  if (arrival.is_proxied) facts.proxy = facts.remote;
  if (preface.http) facts.request = &preface.http->request;
  facts.server_name = preface.server_name;
  facts.alpn = preface.alpn;
  const Decision decision = decide(way, facts);
  if (decision.refusal) return refuse_by_choice(way, std::move(arrival.fd), *decision.refusal);
  arrival.listener = decision.target->listener;
  arrival.key = decision.key;
  hand_over(way, *decision.target, std::move(arrival));
}

FrontDoor::Decision FrontDoor::decide(const Way& way, const PrefaceFacts& facts) const {
  Decision decision;
  decision.route = routes_.match(facts);
  const Target& target = way[decision.route ? *decision.route + 1 : 0];
  if (target.pool == nullptr) {
    decision.refusal = Refusal::Route;
  } else if (target.alive.expired()) {
    decision.refusal = Refusal::Removed;
  } else {
    decision.target = &target;
    decision.key = first_present(target.pool->key, facts, target.pool->prefix, target.dispatcher->table().slots());
  }
  return decision;
}

// Else it is told, and counted.
bool FrontDoor::lets_in(const Way& way, UniqueFd& fd, const Endpoint& client) {
  const bool has_address = client.family != Endpoint::Family::Unix;
  const auto refused = keeper_->judge(has_address ? std::optional(client.address) : std::nullopt, fd);
  if (!refused) return true;
  report(client, to_text(refused->reason));
  refuse_by_choice(way, std::move(fd), refused->reason, refused->wait);
  return false;
}

void FrontDoor::refuse(const Way& way, UniqueFd fd, Refusal refusal) {
  account_of(way.front()).count_refusal(refusal);
  refuse_connection(std::move(fd));
}

// As the configuration says (refusal).
void FrontDoor::refuse_by_choice(const Way& way, UniqueFd fd, Refusal refusal, Duration wait) {
  if (config_.admission.form == AdmissionConfig::Form::Reset) return refuse(way, std::move(fd), refusal);
  account_of(way.front()).count_refusal(refusal);
  farewell_.say(std::move(fd), refusal, wait);
}

// What is wrong with a sender, at a bounded rate.
void FrontDoor::report(const Endpoint& sender, std::string_view why) {
  unreported_++;
  if (loop_.now() < next_report_) return;
  const std::string others = unreported_ > 1 ? fmt::format(" ({} more since the last report)", unreported_ - 1) : "";
  spdlog::warn("listener {}: a connection from {} is refused: {}{}", config_.name, text_of(sender), why, others);
  next_report_ = loop_.now() + kReportPeriod;
  unreported_ = 0;
}

Listener& FrontDoor::account_of(const Target& target) { return *target.dispatcher->listeners()[target.listener.value]; }

}  // namespace holdfast
