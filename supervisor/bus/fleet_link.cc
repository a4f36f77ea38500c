#include "bus/fleet_link.h"

#include <spdlog/spdlog.h>

#include <random>
#include <utility>

#include "wire/json_members.h"

namespace holdfast {

namespace {

constexpr std::string_view kChannel = "holdfast:bus";
constexpr Duration kBeat = std::chrono::seconds(2);
constexpr Duration kSilence = 3 * kBeat;                 // after which whoever should beat has gone
constexpr Duration kPatience = std::chrono::seconds(5);  // from the first packet to the answer to PING
// Without an answer: then Redis takes less than we say, and what comes is not sent.
constexpr std::size_t kMaxUnanswered = std::size_t{32} << 20;
constexpr BackoffPolicy kBackoff = {.first = std::chrono::milliseconds(100),
                                    .step = std::chrono::milliseconds(200),
                                    .factor = 2.0,
                                    .limit = std::chrono::seconds(10),
                                    .jitter = 0.5};

double random_fraction() {
  static std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(random);
}

std::string name_in(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  std::string name;
  JsonMembers members(object, fault);
  members.read("machine", name);
  return name;
}

}  // namespace

FleetLink::FleetLink(Loop& loop, const RedisUrl& url, std::uint64_t node, std::string machine, OnMessage on_message)
    : loop_(loop),
      url_(url),
      node_(node),
      machine_(std::move(machine)),
      on_message_(std::move(on_message)),
      timer_(loop, [this] { on_due(); }) {
  connect();
}

FleetLink::~FleetLink() = default;

void FleetLink::connect() {
  timer_.arm(loop_.now() + kPatience);
  if (!url_.path.empty()) return connect_to("");
  resolver_ = Resolver::start(loop_, url_.host, [this](const Result<std::string>& address) {
    if (!address) return on_lost(address.error().message());
    connect_to(*address);
  });
}

void FleetLink::connect_to(const std::string& address) {
  ready_ = 0;
  speaks_ = make(address, [this] { on_ready(); });
  listens_ = make(address, [this] {
    listens_->subscribe(kChannel);
    on_ready();
  });
}

std::unique_ptr<RedisConnection> FleetLink::make(const std::string& address, std::function<void()> on_ready) {
  RedisConnection::Hooks hooks;
  hooks.on_ready = std::move(on_ready);
  hooks.on_lost = [this](const std::string& why) { on_lost(why); };
  hooks.on_message = [this](std::string_view bytes) { on_bytes(bytes); };
  return std::make_unique<RedisConnection>(loop_, url_, address, std::move(hooks));
}

void FleetLink::on_ready() {
  if (++ready_ < 2) return;
  spdlog::info("bus: connected to {}", to_text(url_));
  trouble_.clear();
  heard_ = loop_.now();
  beat();
}

// Both connections go; they may be on the stack.
void FleetLink::on_lost(const std::string& why) {
  if (!speaks_ && !listens_ && !resolver_) return;
  if (is_connected()) reconnects_++;
  ready_ = 0;
  failures_++;
  const Duration delay = backoff_delay(kBackoff, failures_, random_fraction());
  trouble_ = why;
  // An outage is told when it begins, and then ever more seldom.
  const bool is_told = (failures_ & (failures_ - 1)) == 0;
  spdlog::log(is_told ? spdlog::level::warn : spdlog::level::debug,
              "bus: no connection to {}: {}: the bus works on this machine alone; next attempt in {} ms", to_text(url_),
              why, std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
  loop_.defer([speaks = std::shared_ptr<RedisConnection>(std::move(speaks_)),
               listens = std::shared_ptr<RedisConnection>(std::move(listens_)),
               resolver = std::shared_ptr<Resolver>(std::move(resolver_))] {});
  timer_.arm(loop_.now() + delay);
}

void FleetLink::publish(std::string_view topic, std::string_view data) {
  sequence_++;
  if (!is_connected() || speaks_->unanswered() > kMaxUnanswered) {
    unsent_++;
    return;
  }
  sent_++;
  speaks_->command({"PUBLISH", kChannel, encode({FleetMessage::Kind::Message, node_, sequence_, topic, data})});
}

void FleetLink::on_bytes(std::string_view bytes) {
  const std::optional<FleetMessage> message = decode_fleet_message(bytes);
  if (!message) {
    malformed_++;  // somebody else uses our channel; he may be newer
    return;
  }
  if (message->node == node_) {
    heard_ = loop_.now();
    failures_ = 0;
    return;  // no echo
  }
  const auto known = machines_.try_emplace(message->node).first;
  known->second.heard = loop_.now();
  if (message->kind == FleetMessage::Kind::Beat) {
    known->second.name = name_in(message->data);
    return order_.on_told_last(message->node, message->sequence);
  }
  if (!order_.on_message(message->node, message->sequence)) return;
  received_++;
  on_message_(message->topic, message->data, message->node);
}

void FleetLink::on_due() {
  if (!speaks_ && !listens_ && !resolver_) return connect();
  if (!is_connected()) return on_lost("it did not answer within 5 s");
  if (loop_.now() - heard_ > kSilence) return on_lost("it has fallen silent");
  forget_the_silent();
  beat();
}

void FleetLink::beat() {
  const std::string about = json_text(Json{{"machine", machine_}});
  speaks_->command({"PUBLISH", kChannel, encode({FleetMessage::Kind::Beat, node_, sequence_, "", about})});
  timer_.arm(loop_.now() + kBeat);
}

void FleetLink::forget_the_silent() {
  for (auto at = machines_.begin(); at != machines_.end();) {
    const auto current = at++;
    if (loop_.now() - current->second.heard <= kSilence) continue;
    spdlog::warn("bus: machine {} is not heard any more", current->second.name);
    machines_.erase(current);
  }
}

SavedLink FleetLink::save() const {
  SavedLink saved{sequence_, sent_, unsent_, received_, malformed_, reconnects_, order_.missing(), {}};
  for (const auto& [node, sequence] : order_.heard()) saved.heard.push_back({node, sequence});
  return saved;
}

void FleetLink::adopt(const SavedLink& saved) {
  sequence_ = saved.sequence;
  sent_ = saved.sent;
  unsent_ = saved.unsent;
  received_ = saved.received;
  malformed_ = saved.malformed;
  reconnects_ = saved.reconnects;
  std::map<FleetOrder::Node, std::uint64_t> heard;
  for (const SavedLink::Node& node : saved.heard) heard[node.node] = node.sequence;
  order_.adopt(std::move(heard), saved.missing);
}

FleetLinkStatus FleetLink::status() const {
  FleetLinkStatus status;
  status.redis = to_text(url_);
  status.trouble = trouble_;
  status.sent = sent_;
  status.unsent = unsent_;
  status.received = received_;
  status.missing = order_.missing();
  status.malformed = malformed_;
  status.reconnects = reconnects_;
  for (const auto& [node, machine] : machines_) status.machines.push_back(machine.name);
  return status;
}

}  // namespace holdfast
