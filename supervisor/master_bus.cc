// What the master does for the bus: it knows the pools, and answers for it on the control socket.
#include <memory>

#include "bus/bus.h"
#include "core/redis_url.h"
#include "exit_code.h"
#include "master.h"
#include "sys/machine.h"
#include "wire/base64.h"
#include "wire/tail_answer.h"

namespace holdfast {

Outcome Master::make_bus() {
  // Random, because what was published before a restart is another supervisor's for those who hear of both.
  const Result<HashKey> random = random_hash_key();
  if (!random) return random.error();
  const std::uint64_t node = std::uint64_t{random->a} << 32 | random->b;
  Bus::Hooks hooks;
  hooks.place = [this](std::string_view pool, std::string_view key) { return place_on_bus(pool, key); };
  hooks.pools = [this] { return pools_on_bus(); };
  bus_ = std::make_unique<Bus>(loop_, config_.bus, node, std::move(hooks));
  if (takeover_) {
    bus_->adopt(takeover_->state.bus, takeover_->fds, kept_ ? Bus::After::SuddenEnd : Bus::After::Upgrade);
  }
  if (config_.bus.redis.empty()) return holdfast::Done{};
  const Result<RedisUrl> url = parse_redis_url(config_.bus.redis);
  if (!url) return url.error();
  bus_->connect_fleet(*url, host_name() + "/" + config_.name);
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
    pools.push_back({pool->name(), 0, pool->runner().slots_that_serve()});
  return pools;
}

void Master::answer_publish(const ControlRequest& request, ControlReply reply) {
  const std::optional<std::string> data = from_base64(request.text("data").value_or(""));
  if (!data) return reply.send(ControlFailure{"the data is no base64", kExitUsage, {}});
  const Result<std::size_t> reached = bus_->publish(request.text("topic").value_or(""), *data);
  if (!reached) return reply.send(ControlFailure{reached.error().message(), kExitUsage, {}});
  reply.send(ControlSuccess{"{\"subscribers\":" + std::to_string(*reached) + "}"});
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
