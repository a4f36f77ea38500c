#include "config/bus_options.h"

#include <utility>

#include "config/option_rows.h"
#include "config/values.h"
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

// A part of the names of channels and keys, between colons.
Option fleet_row() {
  Option option = bus_row(
      "fleet", "NAME", Effect::NeedsRestart,
      "Machines that share the Redis server and this name hear each other: letters, digits, '.', '_' and '-'",
      [](auto& b) -> auto& { return b.fleet; });
  option.set = [](Config& config, const Place&, const Value& value) -> Outcome {
    std::string text;
    if (Outcome read = read_value(value, text); !read) return read;
    if (!is_name(text)) return Error{{}, "'" + text + "' may have letters, digits, '.', '_' and '-' only"};
    config.bus.fleet = text;
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

// An empty list is none.
Option stream_row() {
  Option option = without_flag(bus_row(
      "stream", "PATTERNS", Effect::NeedsRestart,
      "Patterns of topics whose messages go through a stream of Redis: other machines have them after a gap, too",
      [](auto& b) -> auto& { return b.stream; }));
  option.set = [](Config& config, const Place&, const Value& value) -> Outcome {
    std::vector<std::string> patterns;
    if (value != Value(std::vector<Scalar>{})) {
      if (Outcome read = read_value(value, patterns); !read) return read;
    }
    for (const std::string& pattern : patterns) {
      if (is_topic_pattern(pattern)) continue;
      return Error{{}, "'" + pattern + "' is no pattern of topics: segments divided by dots, * or ** among them"};
    }
    config.bus.stream = std::move(patterns);
    return Done{};
  };
  return option;
}

}  // namespace

std::vector<Option> bus_options() {
  return {
      redis_row(),
      fleet_row(),
      bus_row(
          "queue", "N", Effect::Live, "KiB of messages that may wait for a worker",
          [](auto& b) -> auto& { return b.queue; }),
      bus_row(
          "full", "FULL", Effect::Live,
          "What happens to messages for a worker beyond that: drop-oldest, drop-newest, or disconnect (the worker)",
          [](auto& b) -> auto& { return b.full; }),
      retain_row(),
      stream_row(),
      bus_row(
          "stream-length", "N", Effect::NeedsRestart, "About how many messages the stream of a topic keeps",
          [](auto& b) -> auto& { return b.stream_length; }),
      row(
          Scope::Pool, kPool, "scope", "SCOPE", kGroup, Effect::Live,
          "To whose slots hf_send and hf_call lead: machine, this one's; or fleet, those of all machines that have the "
          "pool",
          [](auto& p) -> auto& { return p.scope; }),
  };
}

}  // namespace holdfast
