#include "pool.h"

#include <spdlog/spdlog.h>

#include <array>
#include <utility>
#include <vector>

#include "config/chosen_intake.h"
#include "config/front_values.h"
#include "core/bucket_table.h"
#include "core/ip_address.h"
#include "sys/activation.h"
#include "sys/bind_filter.h"
#include "sys/kept_descriptors.h"

namespace holdfast {

namespace {

constexpr Duration kSweepPeriod = std::chrono::seconds(1);

std::string masked_text(const IpAddress& address, KeyPrefix prefix) {
  std::array<std::uint8_t, 16> bytes = address.bytes();
  const unsigned kept = address.is_v6() ? prefix.v6 : 96 + prefix.v4;
  for (unsigned bit = kept; bit < 128; bit++) bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
  return IpAddress::v6(bytes).text() + "/" + std::to_string(address.is_v6() ? prefix.v6 : prefix.v4);
}

std::string key_text(const FoundKey& key) {
  if (key.slot) return "slot " + std::to_string(key.slot->value);
  return key.address ? masked_text(*key.address, key.prefix) : key.text;
}

// In the order of Dispatcher::Prospect::By.
constexpr std::array<std::string_view, 4> kDecidedBy = {"bucket", "key", "tag", "load"};

bool is_every_address(const ListenAddress& address) {
  const auto none_in_particular = [](const IpAddress& ip) { return ip == IpAddress() || ip == IpAddress::v6({}); };
  if (const auto* tcp = std::get_if<TcpAddress>(&address)) return none_in_particular(tcp->address);
  if (const auto* udp = std::get_if<UdpAddress>(&address)) return none_in_particular(udp->address);
  return false;
}

// A listener whose routes lead to several pools has an account in each of them.
ListenerStatus& entry_for(const Listener& listener, Status& status) {
  const std::string address = to_text(listener.address());
  for (ListenerStatus& entry : status.listeners) {
    if (entry.name == listener.name() && entry.address == address) return entry;
  }
  ListenerStatus& entry = status.listeners.emplace_back();
  entry.name = listener.name();
  entry.address = address;
  return entry;
}

}  // namespace

Pool::Pool(Loop& loop, const PoolConfig& config, HashKey hash_key, FleetRunner::Hooks hooks)
    : loop_(loop),
      config_(config),
      keep_(hooks.before_acting ? hooks.before_acting : [] {}),
      dispatcher_(loop, config_, hash_key, table_for(config_, config_.workers)),
      steerer_(loop, dispatcher_, config_, hash_key,
               [this](SlotId slot, bool stalled) { runner_.on_stalled(slot, stalled); }),
      runner_(loop, config_, dispatcher_, steerer_, with_ours(std::move(hooks))),
      sweep_(loop, [this] { sweep_doors(); }),
      closed_(loop, [this] { finish_closing(); }) {}

Outcome Pool::check_system() {
  const Intake intake = chosen_intake(config_);
  if (intake != Intake::Capture && intake != Intake::Auto) return Done{};
  Outcome possible = check_interception();
  if (possible) return possible;
  if (intake == Intake::Capture) {
    return Error{{}, possible.error().message() + " (--intake listen-fds and --intake sdk work without)"};
  }
  spdlog::warn(
      "{}: workers that bind for themselves cannot be served here, those of the intakes sdk and listen-fds can",
      possible.error().message());
  runner_.forgo_capture();
  return Done{};
}

// Whether the listener is to have a socket for each slot.
bool Pool::may_be_steered(const ListenAddress& address) const {
  if (std::holds_alternative<UnixAddress>(address)) return false;
  const Intake intake = chosen_intake(config_);
  const bool may_steer = (intake != Intake::Sdk && intake != Intake::Node) || config_.plane == Plane::Steer;
  return may_steer || std::holds_alternative<UdpAddress>(address);
}

std::vector<Pool::InTheWay> Pool::sockets_of(std::string_view name) const {
  std::vector<InTheWay> sockets;
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    if (listener->name() != name || !listener->stays() || dispatcher_.is_guest(listener->id())) continue;
    sockets.push_back(
        {wished_.at(listener->id()), listener->address(), listener->socket(), steerer_.is_steered(listener->id())});
  }
  return sockets;
}

std::size_t Pool::listeners_at(const ListenAddress& address) const {
  const auto& listeners = dispatcher_.listeners();
  return static_cast<std::size_t>(
      std::count_if(listeners.begin(), listeners.end(), [&](const std::unique_ptr<Listener>& listener) {
        return listener->is_open() && listener->address() == address;
      }));
}

std::set<ListenerId> Pool::handed_on(const std::vector<std::unique_ptr<Pool>>& pools) const {
  std::set<ListenerId> found;
  for (const ListenerId id : listeners_in(Listener::Stage::Serving)) {
    std::size_t open = 0;
    for (const std::unique_ptr<Pool>& pool : pools)
      open += pool->listeners_at(dispatcher_.listeners()[id.value]->address());
    if (open > 1) found.insert(id);
  }
  return found;
}

// Two descriptors of one socket: what the kernel has queued there belongs to whoever accepts it.
Outcome Pool::share_listener(const std::string& name, const InTheWay& with) {
  UniqueFd copy = copy_of(with.socket);
  if (!copy) return last_error("listen on " + to_text(with.address));
  dispatcher_.add_listener(name, ListeningSocket{std::move(copy), with.address, SocketOwner::OtherListener});
  return Done{};
}

Outcome Pool::open_listener(const ListenerConfig& listener, int backlog, const std::vector<InTheWay>& in_the_way) {
  if (revive(listener)) return Done{};
  if (std::holds_alternative<ActivatedAddress>(listener.address)) {
    return Error{{},
                 "listener " + listener.name + ": " + to_text(listener.address) +
                     " is given at the start only: restart the service"};
  }
  wished_[dispatcher_.next_listener()] = listener.address;
  const Intake intake = chosen_intake(config_);
  const bool only_passed = intake == Intake::Sdk || intake == Intake::Auto;
  const bool datagrams = std::holds_alternative<UdpAddress>(listener.address);
  const bool steered = may_be_steered(listener.address);
  std::vector<PortLetsIn> shared;  // until the end of this function
  for (const InTheWay& other : in_the_way) {
    const bool is_same = other.wished == listener.address || other.address == listener.address;
    const bool any_steered = steered || other.steered;
    if (is_same && started_ && !any_steered && std::holds_alternative<TcpAddress>(other.address)) {
      return share_listener(listener.name, other);
    }
    // In the steer plane :80 comes to have sockets at 0.0.0.0:80 as well, and those of two listeners must not be one group.
    if (is_same || (any_steered && is_every_address(other.address) && is_every_address(listener.address))) {
      return Error{std::make_error_code(std::errc::address_in_use), "listen on " + to_text(listener.address)};
    }
    shared.emplace_back(other.socket);
  }
  const Sibling sibling = in_the_way.empty() ? Sibling::None : Sibling::Holds;
  if (steered) {
    Result<ListeningSocket> socket =
        steerer_.open(dispatcher_.next_listener(), listener.name, listener.address, backlog, sibling);
    if (socket) {
      dispatcher_.add_listener(listener.name, *std::move(socket));
      return Done{};
    }
    if (!Steerer::is_steering_refused(socket.error())) return std::move(socket).error();
    const std::string advice = socket.error().code == std::errc::not_enough_memory ? ", raise net.core.optmem_max" : "";
    // Workers that live already have been told how they get their connections.
    if (!only_passed || datagrams || started_) {
      const char* const other = datagrams ? "datagrams cannot be passed" : "--intake sdk works without";
      return Error{{}, socket.error().message() + " (" + other + advice + ")"};
    }
    spdlog::warn("{}: the kernel does not steer here: connections are passed, to workers of the SDK alone{}",
                 socket.error().message(), advice);
    runner_.forgo_steering();
  }
  Result<ListeningSocket> socket = listen_on(listener.address, backlog, sibling);
  if (!socket) return std::move(socket).error();
  dispatcher_.add_listener(listener.name, *std::move(socket));
  return Done{};
}

Outcome Pool::take_listener(const ListenerConfig& listener, ListeningSocket socket, int backlog) {
  const std::string& name = listener.name;
  wished_[dispatcher_.next_listener()] = listener.address;
  if (may_be_steered(socket.bound)) {
    const bool can_pass = config_.plane != Plane::Steer && config_.intake == Intake::Auto &&
                          !std::holds_alternative<UdpAddress>(socket.bound);
    const Outcome possible = check_can_be_steered(socket);
    if (!possible && !can_pass) return possible;
    if (possible) {
      Result<ListeningSocket> control = steerer_.open_beside(dispatcher_.next_listener(), name, socket, backlog);
      if (!control) return std::move(control).error();
      dispatcher_.add_listener(name, *std::move(control));
      return Done{};
    }
    spdlog::warn("listener {}: {}", name, possible.error().message());
  } else if (std::holds_alternative<UnixAddress>(socket.bound) && config_.intake != Intake::Auto &&
             config_.intake != Intake::Sdk) {
    return Error{{}, "a Unix path cannot be steered by the kernel: it needs intake sdk"};
  }
  dispatcher_.add_listener(name, std::move(socket));
  return Done{};
}

std::vector<FrontDoor::Target> Pool::targets(std::string_view listener) {
  std::vector<FrontDoor::Target> found;
  for (const Listener::Stage stage : {Listener::Stage::Coming, Listener::Stage::Serving}) {
    for (const ListenerId id : listeners_in(stage)) {
      if (dispatcher_.is_guest(id) || dispatcher_.listeners()[id.value]->name() != listener) continue;
      found.push_back({&dispatcher_, &config_, id, alive_});
    }
    if (!found.empty()) break;
  }
  return found;
}

FrontDoor::Target Pool::add_guest(const FrontDoor::Target& home) {
  const Listener& listener = *home.dispatcher->listeners()[home.listener.value];
  for (const std::unique_ptr<Listener>& each : dispatcher_.listeners()) {
    const bool is_same = !started_ && dispatcher_.is_guest(each->id()) && each->stays() &&
                         each->name() == listener.name() && each->address() == listener.address();
    if (is_same) return {&dispatcher_, &config_, each->id(), alive_};  // a program before us has made it
  }
  return {&dispatcher_, &config_, dispatcher_.add_guest(listener.name(), listener.address()), alive_};
}

void Pool::hang(std::unique_ptr<FrontDoor> door) {
  for (const ListenerId listener : door->listeners()) {
    retire_door_of(listener);
    dispatcher_.set_door(listener, [door = door.get(), listener](AcceptedConnection connection) {
      door->enter(listener, std::move(connection));
    });
  }
  doors_.push_back(std::move(door));
}

void Pool::take_off_door(ListenerId listener, KeyPrefix source) {
  dispatcher_.set_door(listener, nullptr);
  dispatcher_.count_sources(listener, source);
  retire_door_of(listener);
}

void Pool::retire_door_of(ListenerId listener) {
  for (const std::unique_ptr<FrontDoor>& door : doors_) {
    if (door->is_for(listener)) door->retire();
  }
  sweep_.arm(loop_.now());
}

// Those of listeners that are gone, or have another door.
void Pool::sweep_doors() {
  for (const std::unique_ptr<FrontDoor>& door : doors_) {
    const std::vector<ListenerId> listeners = door->listeners();
    const bool is_gone = std::all_of(listeners.begin(), listeners.end(), [this](ListenerId listener) {
      return dispatcher_.listeners()[listener.value]->stage() == Listener::Stage::Gone;
    });
    if (is_gone) door->retire();
  }
  std::erase_if(doors_, [](const std::unique_ptr<FrontDoor>& door) { return door->is_done(); });
  const auto waits = [](const std::unique_ptr<FrontDoor>& door) { return door->is_retired(); };
  if (std::any_of(doors_.begin(), doors_.end(), waits)) sweep_.arm(loop_.now() + kSweepPeriod);
}

void Pool::start() {
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    if (dispatcher_.is_guest(listener->id())) continue;
    spdlog::info("listening on {} ({})", to_text(listener->address()), listener->name());
  }
  resume();
}

void Pool::stop(Fleet::Stop how) {
  if (!std::exchange(stopping_, true)) {
    finish_closing();
    dispatcher_.close_listeners();
    for (const std::unique_ptr<FrontDoor>& door : doors_) door->close();
    steerer_.begin_stop();
  }
  runner_.stop(how);
}

void Pool::refuse_waiting() {
  steerer_.close();
  runner_.refuse_waiting();
}

void Pool::add_to(Status& status) const {
  const std::uint64_t waiting_before = status.waiting;
  status.pools.push_back(runner_.status());
  for (const SlotStatus& slot : status.pools.back().slots) {
    status.handed += slot.handed;
    status.waiting += slot.waiting;
  }
  status.handed += runner_.handed_before();
  status.checks += runner_.checks();
  status.waiting += dispatcher_.unplaced();
  for (const std::unique_ptr<FrontDoor>& door : doors_) status.waiting += door->waiting();
  add_listeners_to(status, status.waiting > waiting_before ? Shown::All : Shown::Open);
}

void Pool::add_listeners_to(Status& status, Shown shown) const {
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    status.accepted += listener->accepted();
    for (const auto& [refusal, count] : listener->refused()) status.refused[std::string(to_text(refusal))] += count;
    // One that was removed is told of until the last that came by it has been taken up: its numbers stay in the sum.
    if (listener->stage() == Listener::Stage::Gone && shown != Shown::All) continue;
    ListenerStatus& answer = entry_for(*listener, status);
    answer.accepted += listener->accepted();
    for (const auto& [refusal, count] : listener->refused()) answer.refused[std::string(to_text(refusal))] += count;
    if (dispatcher_.is_guest(listener->id())) continue;
    answer.paused_because = why_paused(*listener);
    answer.paused = !answer.paused_because.empty();
  }
  for (const std::unique_ptr<FrontDoor>& door : doors_) {
    const Listener& listener = *dispatcher_.listeners()[door->listeners().front().value];
    if (listener.stage() == Listener::Stage::Gone && shown != Shown::All) continue;
    ListenerStatus& entry = entry_for(listener, status);
    for (const auto& [why, count] : door->missing()) entry.missing[why] += count;
    for (const auto& [why, count] : door->would_refuse()) entry.would_refuse[why] += count;
  }
}

std::string Pool::why_paused(const Listener& listener) const {
  if (stopping_) return "closed: its workers stop";
  switch (listener.stage()) {
    case Listener::Stage::Coming:
      return "its workers do not know it yet";
    case Listener::Stage::Leaving:
    case Listener::Stage::Closing:
    case Listener::Stage::Gone:
      return "closed: it was removed";
    case Listener::Stage::Serving:
      break;
  }
  return dispatcher_.pause_reason();
}

std::optional<SlotId> Pool::slot_of_key(std::string_view key) const {
  return dispatcher_.serving_slot(bucket_of(dispatcher_.hash(key)));
}

std::optional<MovedClients> Pool::would_move_clients(unsigned slots) const {
  if (steerer_.plane() == Plane::Steer) return std::nullopt;
  return moved_clients(dispatcher_.table(), table_for(config_, slots), dispatcher_.recent_clients(), loop_.now());
}

FrontDoor* Pool::door(std::string_view listener) const {
  for (const std::unique_ptr<FrontDoor>& door : doors_) {
    const Listener& own = *dispatcher_.listeners()[door->listeners().front().value];
    if (own.name() == listener && own.stays() && !door->is_retired()) return door.get();
  }
  return nullptr;
}

ClientsAnswer::Listener Pool::clients(std::string_view name, std::size_t count) const {
  ClientsAnswer::Listener answer;
  answer.name = name;
  std::vector<HeavySources::Source> all;  // a source may have come by each socket of the listener
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    const HeavySources* const sources = dispatcher_.sources(listener->id());
    if (listener->name() != name || !listener->stays() || sources == nullptr) continue;
    const bool has_addresses = std::holds_alternative<TcpAddress>(listener->address());
    answer.remembers |= has_addresses && steerer_.plane() == Plane::Pass;
    for (const HeavySources::Source& source : sources->sources()) all.push_back(source);
  }
  for (const HeavySources::Source& source : heaviest_of(std::move(all), count))
    answer.sources.push_back(told_of(source));
  return answer;
}

void Pool::add_limits(ListenerId listener, std::vector<std::string>& limits) const {
  const auto add = [&](std::string_view name, unsigned limit, std::string_view then) {
    if (limit != 0) limits.push_back(fmt::format("{} = {}{}", name, limit, then));
  };
  const LimitSet tried = dispatcher_.tried_at(listener);
  const auto how = [&](Limit limit, std::string_view then) { return tried.contains(limit) ? kOnlyCounted : then; };
  const std::string overflow = ", then overflow = " + value_text(config_.overflow);
  add("max-connections", config_.max_connections, how(Limit::Connections, ""));
  add("max-slot-connections", config_.max_slot_connections, how(Limit::SlotConnections, overflow));
  add("balance-factor", config_.balance_factor, "");
}

void Pool::explain(const Arrival& arrival, RouteAnswer& answer) const {
  const Dispatcher::Prospect prospect = dispatcher_.prospect(arrival);
  answer.pool = config_.name;
  answer.placement = value_text(config_.placement);
  answer.key_name = arrival.key ? to_text(config_.key[arrival.key->index]) : "remote-address";
  answer.key = arrival.key ? key_text(*arrival.key) : masked_text(arrival.remote.address, config_.prefix);
  answer.hash = prospect.hash;
  answer.bucket = prospect.bucket;
  answer.buckets = kBuckets;
  add_limits(arrival.listener, answer.limits);
  answer.decided_by = kDecidedBy[static_cast<std::size_t>(prospect.by)];
  for (const SlotId slot : prospect.preference) answer.preference.push_back(slot.value);
  if (!answer.preference.empty()) answer.home = answer.preference.front();
  if (!prospect.slot) return;
  answer.slot = prospect.slot->value;
  answer.weight = weights_of(config_, dispatcher_.table().slots())[prospect.slot->value];
  const PoolStatus pool = runner_.status();
  if (const auto& worker = pool.slots[prospect.slot->value].worker) answer.holder = worker->pid;
}

}  // namespace holdfast
