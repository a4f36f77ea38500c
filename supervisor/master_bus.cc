// What the master does for the bus: it knows the pools, and answers for it on the control socket.
#include <algorithm>
#include <memory>

#include "bus/bus.h"
#include "core/redis_url.h"
#include "exit_code.h"
#include "master.h"
#include "sys/machine.h"
#include "wire/base64.h"
#include "wire/socketio_packet.h"
#include "wire/tail_answer.h"

namespace holdfast {

Outcome Master::make_bus() {
  // Random, because what was published before a restart is another supervisor's for those who hear of both.
  const Result<HashKey> random = random_hash_key();
  if (!random) return random.error();
  const std::uint64_t node = std::uint64_t{random->a} << 32 | random->b;
  Bus::Hooks hooks;
  hooks.place = [this](std::string_view pool, std::string_view key) { return place_on_bus(pool, key); };
  hooks.member = [this](std::string_view pool, SlotId slot) {
    const Pool* const known = pool_of(pool);
    return known == nullptr ? std::nullopt : known->runner().bus_member(slot);
  };
  hooks.pools = [this] { return pools_on_bus(); };
  hooks.last_client = [this] {
    TimePoint last{};
    for (const std::unique_ptr<Pool>& pool : pools_) last = std::max(last, pool->last_client());
    return last;
  };
  bus_ = std::make_unique<Bus>(loop_, config_.bus, node, std::move(hooks));
  if (takeover_) {
    bus_->adopt(takeover_->state.bus, takeover_->fds, kept_ ? Bus::After::SuddenEnd : Bus::After::Upgrade);
  }
  if (config_.bus.redis.empty()) return holdfast::Done{};
  const Result<RedisUrl> url = parse_redis_url(config_.bus.redis);
  if (!url) return url.error();
  FleetLink::Settings settings;
  settings.url = *url;
  settings.fleet = config_.bus.fleet;
  settings.machine = host_name() + "/" + config_.name;
  settings.stream = config_.bus.stream;
  settings.stream_length = config_.bus.stream_length;
  settings.place = settings.machine + ":" + config_.control_path;
  bus_->connect_fleet(std::move(settings));
  return holdfast::Done{};
}

BusPlace Master::place_on_bus(std::string_view name, std::string_view key) const {
  const Pool* const pool = pool_of(name);
  if (pool == nullptr) return {};
  const std::optional<SlotId> slot = pool->slot_of_key(key);
  return {true, slot ? pool->runner().bus_member(*slot) : std::nullopt};
}

std::vector<BusPool> Master::pools_on_bus() const {
  std::vector<BusPool> pools;
  for (const std::unique_ptr<Pool>& pool : pools_)
    pools.push_back({pool->name(), 0, pool->runner().slots_that_serve(), pool->config().scope == PoolScope::Fleet});
  return pools;
}

void Master::answer_publish(const ControlRequest& request, ControlReply reply) {
  const std::optional<std::string> data = from_base64(request.text("data").value_or(""));
  if (!data) return reply.send(ControlFailure{"the data is no base64", kExitUsage, {}});
  const Result<std::size_t> reached = bus_->publish(request.text("topic").value_or(""), *data);
  if (!reached) return reply.send(ControlFailure{reached.error().message(), kExitUsage, {}});
  reply.send(ControlSuccess{"{\"subscribers\":" + std::to_string(*reached) + "}"});
}

// To the clients of Socket.IO servers that share our Redis.
void Master::answer_emit(const ControlRequest& request, ControlReply reply) {
  const std::optional<std::string> data = from_base64(request.text("data").value_or(""));
  const std::string name_space = request.text("namespace").value_or("");
  const std::string room = request.text("room").value_or("");
  const std::string event = request.text("topic").value_or("");
  if (!data) return reply.send(ControlFailure{"the data is no base64", kExitUsage, {}});
  const Result<SocketioPacket> packet = socketio_packet({name_space, room, event, *data});
  if (!packet) return reply.send(ControlFailure{packet.error().message(), kExitUsage, {}});
  const auto kept = std::make_shared<ControlReply>(std::move(reply));
  bus_->emit(packet->channel, packet->payload, [kept, channel = packet->channel](const Result<std::uint64_t>& heard) {
    if (!heard) return kept->send(ControlFailure{"emit: " + heard.error().message(), kExitFailure, {}});
    if (*heard > 0) return kept->send(ControlSuccess{"{\"servers\":" + std::to_string(*heard) + "}"});
    kept->send(ControlFailure{
        "no server listens to " + channel + ": is its redis-adapter at the same Redis, with the default key?",
        kExitFailure,
        {}});
  });
}

void Master::answer_tail(const ControlRequest& request, ControlReply reply) {
  const auto kept = std::make_shared<ControlReply>(std::move(reply));
  const auto session = static_cast<std::uint64_t>(request.number("session").value_or(0));
  const Outcome asked =
      bus_->tails().ask(session, request.text("pattern").value_or(""),
                        [kept](const TailAnswer& answer) { kept->send(ControlSuccess{to_json(answer)}); });
  if (!asked) kept->send(ControlFailure{asked.error().message(), kExitUsage, {}});
}

}  // namespace holdfast
