#include "steerer.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "core/bucket_table.h"
#include "core/steering_program.h"
#include "sys/sockets.h"

namespace holdfast {

namespace {

constexpr Duration kLongestSample = std::chrono::milliseconds(250);
constexpr Duration kShortestSample = std::chrono::milliseconds(25);
constexpr Duration kRetry = std::chrono::milliseconds(100);
constexpr int kAcceptsPerTurn = 512;  // from one socket; more are reported again
constexpr int kErrorsInARow = 64;
// More buckets than these do not fit where the kernel has no room for a program of them all.
constexpr std::array<unsigned, 3> kFewerBuckets = {256, 128, 64};

// A worker that binds port 0 means no listener of ours.
const ManagedAddress kNobodysAddress = {Transport::Stream, TcpAddress{TcpAddress::Family::V4, {}, 0}};

ManagedAddress managed_address(const ListenAddress& address) {
  if (const auto* udp = std::get_if<UdpAddress>(&address)) {
    return {Transport::Datagram, TcpAddress{udp->family, udp->address, udp->port}};
  }
  return {Transport::Stream, std::get<TcpAddress>(address)};
}

// The address with the port that the kernel chose.
ListenAddress with_port(ListenAddress address, std::uint16_t port) {
  if (auto* tcp = std::get_if<TcpAddress>(&address)) tcp->port = port;
  if (auto* udp = std::get_if<UdpAddress>(&address)) udp->port = port;
  return address;
}

// What is left of an address of both families where the host has no IPv6.
std::optional<ListenAddress> ipv4_alone(ListenAddress address) {
  TcpAddress::Family* family = nullptr;
  if (auto* tcp = std::get_if<TcpAddress>(&address)) family = &tcp->family;
  if (auto* udp = std::get_if<UdpAddress>(&address)) family = &udp->family;
  if (family == nullptr || *family != TcpAddress::Family::DualStack) return std::nullopt;
  *family = TcpAddress::Family::V4;
  return address;
}

std::size_t number(Turn turn) { return turn == Turn::First ? 0 : 1; }

}  // namespace

Steerer::Steerer(Loop& loop, Dispatcher& dispatcher, const PoolConfig& pool, HashKey hash_key, OnStalled on_stalled)
    : loop_(loop),
      dispatcher_(dispatcher),
      pool_(pool),
      hash_key_(hash_key),
      on_stalled_(std::move(on_stalled)),
      slots_(pool.workers),
      sampling_(loop, [this] { sample(); }),
      retry_(loop, [this] { watch(); }) {}

Steerer::~Steerer() = default;

bool Steerer::is_steering_refused(const Error& error) {
  return error.code == std::errc::no_protocol_option || error.code == std::errc::function_not_supported ||
         error.code == std::errc::invalid_argument || error.code == std::errc::not_enough_memory ||
         error.code == std::errc::operation_not_permitted;
}

Result<ListeningSocket> Steerer::open(ListenerId id, const std::string& name, const ListenAddress& address, int backlog,
                                      Sibling sibling) {
  listeners_.push_back({id, name, address, backlog, {}, {}});
  Listener& listener = listeners_.back();
  Result<std::unique_ptr<SteerGroup>> group = make_group(listeners_.size() - 1, natural_domain(address), sibling);
  if (const std::optional<ListenAddress> rest = ipv4_alone(address); !group && rest && lacks_ipv6(group.error())) {
    listener.address = *rest;
    // If somebody has the port it may be at this very address: not even a sibling shares that.
    group = make_group(listeners_.size() - 1, SocketDomain::Inet, Sibling::None);
  }
  if (!group) {
    listeners_.pop_back();
    return std::move(group).error();
  }
  return add(*std::move(group));
}

Result<ListeningSocket> Steerer::open_beside(ListenerId id, const std::string& name, const ListeningSocket& activated,
                                             int backlog) {
  listeners_.push_back({id, name, activated.bound, backlog, {}, {}});
  Result<std::unique_ptr<SteerGroup>> group =
      make_group(listeners_.size() - 1, natural_domain(activated.bound), Sibling::None, BorrowedFd(activated.fd));
  if (!group) {
    listeners_.pop_back();
    return std::move(group).error();
  }
  Result<ListeningSocket> socket = add(*std::move(group));
  if (socket) socket->owner = activated.owner;
  return socket;
}

// The first group of the last listener.
Result<ListeningSocket> Steerer::add(std::unique_ptr<SteerGroup> group) {
  Listener& listener = listeners_.back();
  listener.address = with_port(listener.address, group->address().port);
  ListeningSocket socket{{}, listener.address, SocketOwner::Us};
  if (std::holds_alternative<TcpAddress>(listener.address)) {
    socket.fd = UniqueFd(::fcntl(group->control().get(), F_DUPFD_CLOEXEC, 3));
    if (!socket.fd) {
      const Error error = last_error("listen on " + to_text(listener.address));
      listeners_.pop_back();
      return error;
    }
  }
  // Whoever comes before the workers waits at his slot's socket already.
  if (const Outcome attached = attach_whole_or_fewer(listener, *group); !attached) {
    const std::string where = to_text(listener.address);
    group->shut_down();
    listeners_.pop_back();
    if (listeners_.empty()) dispatcher_.set_resolution(kBuckets);
    return Error{attached.error().code, "steer the clients of " + where + ": " + attached.error().doing};
  }
  listener.groups.push_back(std::move(group));
  return socket;
}

void Steerer::start() {
  attach_everywhere();
  watch();
  sample();
}

void Steerer::settle(Intake intake, Plane plane) {
  intake_ = intake;
  plane_ = plane;
  attach_everywhere();
  watch();
}

void Steerer::retire_unwanted(std::string_view elsewhere) {
  for (Listener& listener : listeners_) {
    if (listener.groups.empty()) continue;
    if (listener.wanted.empty()) {
      spdlog::warn("pool {}: the workers do not listen on {} ({}): its clients wait for nobody{}", pool_.name,
                   to_text(listener.address), listener.name, elsewhere);
      continue;
    }
    std::erase_if(listener.groups, [&](const std::unique_ptr<SteerGroup>& group) {
      const SocketDomain domain = group->address().domain;
      if (std::count(listener.wanted.begin(), listener.wanted.end(), domain) > 0) return false;
      spdlog::info("pool {}: the workers listen on {}; the sockets kept for {} are not needed", pool_.name,
                   to_text(listener.groups.back()->address()), to_text(group->address()));
      if (group->address().domain == natural_domain(listener.address)) dispatcher_.close_socket(listener.id);
      retire(listener, *group);
      return true;
    });
  }
}

Outcome Steerer::grow(unsigned slots) {
  if (slots > slots_.size()) slots_.resize(slots);
  for (Listener& listener : listeners_) {
    if (stage_of(listener) == holdfast::Listener::Stage::Closing) continue;  // a new socket would let clients in
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) {
      if (Outcome grown = group->grow(slots); !grown) return grown;
    }
  }
  return Done{};
}

void Steerer::refresh() {
  if (std::exchange(refresh_due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) catch_up();
  });
}

void Steerer::catch_up() {
  if (!std::exchange(refresh_due_, false)) return;
  attach_everywhere();
  watch();
}

void Steerer::begin_stop() {
  if (plane_ == Plane::Pass) close();
}

void Steerer::close() {
  sampling_.disarm();
  retry_.disarm();
  for (Listener& listener : listeners_) {
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) retire(listener, *group);
    listener.groups.clear();
  }
}

void Steerer::occupy(SlotId id, Turn turn) {
  note_knowledge(id, turn);
  Slot& slot = slots_[id.value];
  slot.users[number(turn)]++;
  slot.taken_over[number(turn)] = false;
  if (turn == slot.turn) slot.stall.reset();
  watch();
}

void Steerer::vacate(SlotId id, Turn turn) {
  Slot& slot = slots_[id.value];
  slot.users[number(turn)]--;
  if (turn == slot.turn) slot.stall.reset();
  watch();
}

void Steerer::choose(SlotId id, Turn turn) {
  Slot& slot = slots_[id.value];
  if (slot.turn == turn) return;
  slot.turn = turn;
  slot.stall.reset();
  attach_everywhere();
  watch();
}

void Steerer::take_over(SlotId id, Turn turn) {
  slots_[id.value].taken_over[number(turn)] = true;
  watch();
}

void Steerer::set_lent(SlotId id, bool lent) {
  slots_[id.value].lent = lent;
  refresh();
}

std::vector<Steerer::GivenSocket> Steerer::sockets(SlotId slot, Turn turn) {
  std::vector<GivenSocket> given;
  for (Listener& listener : listeners_) {
    if (listener.groups.empty() || is_leaving(listener)) continue;
    if (const std::optional<BorrowedFd> fd = listener.groups.front()->member(slot, turn)) {
      given.push_back({listener.id, listener.name, *fd, listener.groups.front()->address().transport});
    }
  }
  return given;
}

std::vector<ManagedAddress> Steerer::managed() const {
  std::vector<ManagedAddress> managed;
  for (const Listener& listener : listeners_) {
    managed.push_back(is_leaving(listener) ? kNobodysAddress : managed_address(listener.address));
  }
  return managed;
}

Result<BorrowedFd> Steerer::socket_for(std::size_t index, SocketDomain domain, SlotId slot, Turn turn) {
  Listener& listener = listeners_[index];
  const auto found = std::find_if(listener.groups.begin(), listener.groups.end(),
                                  [&](const auto& group) { return group->address().domain == domain; });
  SteerGroup* group = found != listener.groups.end() ? found->get() : nullptr;
  if (group == nullptr) {
    Result<std::unique_ptr<SteerGroup>> made =
        make_group(index, domain, listener.groups.empty() ? Sibling::None : Sibling::Holds);
    if (!made) return std::move(made).error();
    group = made->get();
    listener.groups.push_back(*std::move(made));
    attach(listener, *group);
  }
  if (std::count(listener.wanted.begin(), listener.wanted.end(), domain) == 0) listener.wanted.push_back(domain);
  if (const std::optional<BorrowedFd> fd = group->member(slot, turn)) return *fd;
  return Error{std::make_error_code(std::errc::too_many_files_open),
               "give " + to_text(group->address()) + " to a worker"};
}

std::vector<std::uint16_t> Steerer::ports() const {
  std::vector<std::uint16_t> ports;
  for (const Listener& listener : listeners_) {
    if (const auto* tcp = std::get_if<TcpAddress>(&listener.address)) ports.push_back(tcp->port);
  }
  return ports;
}

bool Steerer::is_datagram(std::size_t managed) const {
  return std::holds_alternative<UdpAddress>(listeners_[managed].address);
}

bool Steerer::has_datagrams() const {
  return std::any_of(listeners_.begin(), listeners_.end(),
                     [](const Listener& listener) { return std::holds_alternative<UdpAddress>(listener.address); });
}

bool Steerer::is_chosen(SlotId id, Turn turn) const {
  const Slot& slot = slots_[id.value];
  return plane_ == Plane::Steer && slot.turn == turn && !slot.lent;
}

std::uint64_t Steerer::waiting(SlotId slot, Turn turn) const {
  std::uint64_t sum = 0;
  for (const Listener& listener : listeners_) {
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) sum += group->waiting(slot, turn);
  }
  return sum;
}

std::uint64_t Steerer::queued(SlotId slot) const {
  std::uint64_t sum = 0;
  for (const Listener& listener : listeners_) {
    if (!std::holds_alternative<TcpAddress>(listener.address)) continue;
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) {
      sum += group->waiting(slot, Turn::First) + group->waiting(slot, Turn::Second);
    }
  }
  return sum;
}

Result<std::unique_ptr<SteerGroup>> Steerer::make_group(std::size_t index, SocketDomain domain, Sibling sibling,
                                                        std::optional<BorrowedFd> activated) {
  const Listener& listener = listeners_[index];
  const std::optional<GroupAddress> address = group_address(listener.address, domain);
  if (!address) {
    return Error{std::make_error_code(std::errc::address_family_not_supported),
                 "listen on " + to_text(listener.address)};
  }
  SteerGroup::Options options;
  options.backlog = listener.backlog;
  options.slots = static_cast<unsigned>(slots_.size());
  options.sibling = sibling;
  options.activated = activated;
  return SteerGroup::create(loop_, *address, options, hooks_of(index, domain));
}

SteerGroup::Hooks Steerer::hooks_of(std::size_t index, SocketDomain domain) {
  SteerGroup::Hooks hooks;
  hooks.on_replaced = [this](SlotId slot, Turn) {
    spdlog::warn("{}/{}: its worker has shut its listening socket down: new clients wait for the next one", pool_.name,
                 slot.value);
    watch();
  };
  hooks.on_renumbered = [this] { attach_everywhere(); };
  hooks.on_stray = [this, id = listeners_[index].id](AcceptedConnection connection) {
    dispatcher_.adopt(id, std::move(connection));
    dispatcher_.flush_adopted();
  };
  hooks.on_waiting = [this, index, domain](SlotId slot, Turn turn) { drain(index, domain, slot, turn); };
  return hooks;
}

std::vector<BpfInstruction> Steerer::program_for(const Listener& listener, const SteerGroup& group) const {
  if (plane_ != Plane::Steer && group.address().transport == Transport::Stream) return constant_program(0);
  if (is_leaving(listener)) return constant_program(0);
  SteeringTable members{};
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    // Where nobody is available clients wait at their own slot.
    const SlotId slot = dispatcher_.serving_slot(bucket).value_or(dispatcher_.table().home(bucket));
    members[bucket] = group.index(slot, turn_for(listener, slot));
  }
  return compile_steering(members, pool_.prefix, hash_key_);
}

void Steerer::attach_everywhere() {
  for (Listener& listener : listeners_) {
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) attach(listener, *group);
  }
}

Outcome Steerer::attach_whole_or_fewer(const Listener& listener, SteerGroup& group) {
  for (;;) {
    Outcome attached = group.attach(program_for(listener, group));
    if (attached || attached.error().code != std::errc::not_enough_memory || !fall_back(attached.error())) {
      return attached;
    }
  }
}

void Steerer::attach(Listener& listener, SteerGroup& group) {
  const unsigned before = dispatcher_.resolution();
  const Outcome attached = attach_whole_or_fewer(listener, group);
  if (!attached) {
    spdlog::error("listener {}: {}: clients go where they went before (raise net.core.optmem_max)", listener.name,
                  attached.error().message());
  } else if (dispatcher_.resolution() != before) {
    attach_everywhere();  // one table for all
  }
}

// Whether fewer buckets are left to try.
bool Steerer::fall_back(const Error& error) {
  const auto fewer = std::find_if(kFewerBuckets.begin(), kFewerBuckets.end(),
                                  [&](unsigned buckets) { return buckets < dispatcher_.resolution(); });
  if (fewer == kFewerBuckets.end()) return false;
  spdlog::warn("pool {}: {}: {} buckets instead of {} (raise net.core.optmem_max to have them all)", pool_.name,
               error.message(), *fewer, dispatcher_.resolution());
  dispatcher_.set_resolution(*fewer);
  return true;
}

bool Steerer::is_ours(const Listener& listener, SlotId id, Turn turn) const {
  if (!intake_) return false;  // who knows yet what may become of them
  if (stage_of(listener) == holdfast::Listener::Stage::Coming) return false;
  if (plane_ != Plane::Steer) return true;
  const Slot& slot = slots_[id.value];
  if (slot.taken_over[number(turn)]) return true;
  if (slot.users[number(turn)] > 0) return false;
  if (turn != slot.turn) return true;
  const auto serves = [](const Slot& other) { return !other.lent; };
  return slot.lent && std::any_of(slots_.begin(), slots_.end(), serves);
}

void Steerer::watch() {
  for (Listener& listener : listeners_) {
    if (!std::holds_alternative<TcpAddress>(listener.address)) continue;
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) {
      for (std::uint32_t i = 0; i < slots_.size(); i++) {
        for (const Turn turn : {Turn::First, Turn::Second}) {
          group->watch_waiting(SlotId{i}, turn, is_ours(listener, SlotId{i}, turn));
        }
      }
    }
  }
}

void Steerer::drain(std::size_t index, SocketDomain domain, SlotId slot, Turn turn) {
  for (const std::unique_ptr<SteerGroup>& group : listeners_[index].groups) {
    if (group->address().domain == domain) return drain(listeners_[index], *group, slot, turn);
  }
}

void Steerer::drain(const Listener& listener, SteerGroup& group, SlotId slot, Turn turn) {
  int errors = 0;
  for (int accepts = 0; accepts < kAcceptsPerTurn && errors < kErrorsInARow; accepts++) {
    Result<std::variant<AcceptedConnection, AcceptStop>> answer = group.accept_from(slot, turn);
    if (answer && std::holds_alternative<AcceptedConnection>(*answer)) {
      dispatcher_.adopt(listener.id, std::get<AcceptedConnection>(std::move(*answer)));
    } else if (answer && std::get<AcceptStop>(*answer) == AcceptStop::Again) {
      errors++;
    } else if (answer && std::get<AcceptStop>(*answer) == AcceptStop::Empty) {
      break;
    } else {
      // No descriptor, no memory, or worse: what waits goes on waiting, and we do not spin.
      group.watch_waiting(slot, turn, false);
      retry_.arm(loop_.now() + kRetry);
      break;
    }
  }
  dispatcher_.flush_adopted();
}

// Workers may hold its sockets: to close ours would leave clients with a listener that nobody serves.
void Steerer::retire(const Listener& listener, SteerGroup& group) {
  if (!std::holds_alternative<TcpAddress>(listener.address)) return;
  drain_all(listener, group);
  group.shut_down();
}

// From here on new clients come to the control socket.
void Steerer::drain_all(const Listener& listener, SteerGroup& group) {
  (void)group.attach(constant_program(0));
  for (std::uint32_t i = 0; i < slots_.size(); i++) {
    for (const Turn turn : {Turn::First, Turn::Second}) {
      if (group.waiting(SlotId{i}, turn) > 0) drain(listener, group, SlotId{i}, turn);
    }
  }
}

void Steerer::sample() {
  const Duration limit = stall_limit(pool_.fleet.hold_timeout);
  sampling_.arm(loop_.now() + std::clamp<Duration>(limit / kStallSamples, kShortestSample, kLongestSample));
  if (plane_ != Plane::Steer) return;
  for (std::uint32_t i = 0; i < slots_.size(); i++) {
    Slot& slot = slots_[i];
    if (slot.users[number(slot.turn)] == 0) continue;
    const bool stalled = slot.stall.on_sample(waiting(SlotId{i}, slot.turn), limit, loop_.now());
    if (std::exchange(slot.told_stalled, stalled) != stalled) on_stalled_(SlotId{i}, stalled);
  }
}

}  // namespace holdfast
