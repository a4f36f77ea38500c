#include "config/bus_options.h"

#include <utility>

#include "config/option_rows.h"
#include "core/redis_url.h"
#include "core/topic.h"

namespace holdfast {

namespace {

constexpr const char* kGroup = "Messages between workers";
constexpr auto kBus = [](auto& config, const Place&) -> auto& { return config.bus; };

// On the command line and in the environment its name begins with the bus's.
template <class Access>
Option bus_row(std::string key, std::string value_name, Effect effect, std::string help, Access access) {
  Option option = row(Scope::Bus, kBus, std::move(key), std::move(value_name), kGroup, effect, std::move(help), access);
  option.flag = "--bus-" + option.key;
  return option;
}

Option redis_row() {
  Option option = bus_row(
      "redis", "URL", Effect::NeedsRestart,
      "Redis server that carries the bus between machines: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]",
      [](auto& b) -> auto& { return b.redis; });
  option.set = [](Config& config, const Place&, const Value& value) -> Outcome {
    std::string text;
    if (Outcome read = read_value(value, text); !read) return read;
    const Result<RedisUrl> url = parse_redis_url(text);
    if (!text.empty() && !url) return url.error();
    config.bus.redis = text;
    return Done{};
  };
  return option;
}

Option retain_row() {
  Option option{
      "retain",     Scope::Bus,
      "COUNTS",     kGroup,
      Effect::Live, "Patterns of topics, and how many messages of each topic are kept for workers that ask for them",
      {},           {}};
  option.set = [](Config& config, const Place& place, const Value& value) -> Outcome {
    if (!is_topic_pattern(place.entry)) {
      return Error{{}, "'" + place.entry + "' is no pattern of topics: segments divided by dots, * or ** among them"};
    }
    unsigned count = 0;
    if (Outcome read = read_value(value, count); !read) return read;
    config.bus.retain[place.entry] = count;
    return Done{};
  };
  option.get = [](const Config& config, const Place& place) -> Value {
    const auto found = config.bus.retain.find(place.entry);
    return value_of(found == config.bus.retain.end() ? 0U : found->second);
  };
  option.entries = [](const Config& config, std::size_t) {
    std::vector<std::string> patterns;
    for (const auto& [pattern, count] : config.bus.retain) patterns.push_back(pattern);
    return patterns;
  };
  return option;
}

}  // namespace

std::vector<Option> bus_options() {
  return {
      redis_row(),
      bus_row(
          "queue", "N", Effect::Live, "KiB of messages that may wait for a worker",
          [](auto& b) -> auto& { return b.queue; }),
      bus_row(
          "full", "FULL", Effect::Live,
          "What happens to messages for a worker beyond that: drop-oldest, drop-newest, or disconnect (the worker)",
          [](auto& b) -> auto& { return b.full; }),
      retain_row(),
  };
}

}  // namespace holdfast
