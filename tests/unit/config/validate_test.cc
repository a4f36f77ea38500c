#include "config/validate.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "config/chosen_intake.h"
#include "config/values.h"
#include "core/bucket_table.h"
#include "core/listen_address.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> texts(const std::vector<Mistake>& mistakes) {
  std::vector<std::string> texts;
  for (const Mistake& mistake : mistakes) texts.push_back(to_text(mistake));
  return texts;
}

Config valid_config() {
  Config config;
  config.listeners = {*parse_listener(":8080", "main"), *parse_listener("unix:@app", "app")};
  config.pools.front().command = {"./server"};
  return config;
}

// The mistakes of a valid configuration in which one thing was changed.
std::vector<std::string> mistakes_after(const std::function<void(Config&)>& change) {
  Config config = valid_config();
  change(config);
  return texts(find_mistakes(config, {}));
}

TEST(Mistakes, AValidConfigurationHasNone) { EXPECT_THAT(find_mistakes(valid_config(), {}), IsEmpty()); }

TEST(Mistakes, EachIsFoundAndNamedAlone) {
  const std::vector<std::pair<std::string, std::function<void(Config&)>>> cases = {
      {"there is no listener", [](Config& c) { c.listeners.clear(); }},
      {"there is no worker command", [](Config& c) { c.pools.front().command.clear(); }},
      {"--name 'a/b'", [](Config& c) { c.name = "a/b"; }},
      {"--pool 'a b'", [](Config& c) { c.pools.front().name = "a b"; }},
      {"--pool ''", [](Config& c) { c.pools.front().name = ""; }},
      {"-w 257: at most 256 workers", [](Config& c) { c.pools.front().workers = kMaxSlots + 1; }},
      {"--prefix-v4 33: at most 32", [](Config& c) { c.pools.front().prefix.v4 = 33; }},
      {"--prefix-v6 129: at most 128", [](Config& c) { c.pools.front().prefix.v6 = 129; }},
      {"--queue-limit 0", [](Config& c) { c.pools.front().queue_limit = 0; }},
      {"--backlog must be at least 1", [](Config& c) { c.backlog = 0; }},
      {"--backlog must be at least 1", [](Config& c) { c.backlog = -1; }},
      {"--no-restart-codes 256: exit codes are 0 to 255",
       [](Config& c) {
         c.pools.front().no_restart_codes = {0, 255, 256};
       }},
      {"--no-restart-codes -1", [](Config& c) { c.pools.front().no_restart_codes = {-1}; }},
      {"--surge 0", [](Config& c) { c.pools.front().fleet.surge = 0; }},
      {"--heartbeat-timeout must be 0 or at least 100ms",
       [](Config& c) { c.pools.front().fleet.heartbeat_timeout = 99ms; }},
      {"--start-timeout 0", [](Config& c) { c.pools.front().fleet.start_timeout = 0s; }},
      {"--stop-timeout must not be shorter than --kill-timeout",
       [](Config& c) { c.pools.front().fleet.stop_timeout = c.pools.front().fleet.kill_timeout - 1ns; }},
      {"--restart-delay-max must not be shorter than --restart-delay-step",
       [](Config& c) { c.pools.front().fleet.backoff.limit = c.pools.front().fleet.backoff.step - 1ns; }},
      {"two listeners are named 'main'", [](Config& c) { c.listeners[1].name = "main"; }},
      {"-l :8080 is given twice", [](Config& c) { c.listeners[1].address = c.listeners[0].address; }},
      {"-l :8080 and -l 127.0.0.1:8080 take the same port",
       [](Config& c) { c.listeners[1].address = *parse_listen_address("127.0.0.1:8080"); }},
  };
  for (const auto& [mistake, change] : cases) EXPECT_THAT(mistakes_after(change), ElementsAre(HasSubstr(mistake)));
}

TEST(Mistakes, TheLastGoodValuesAreNone) {
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.name = "";  // that of the command
                c.pools.front().workers = kMaxSlots;
                c.pools.front().prefix = {32, 128};
                c.pools.front().queue_limit = 1;
                c.pools.front().hold_limit = 0;
                c.backlog = 1;
                c.pools.front().fleet.surge = 1;
                c.pools.front().fleet.start_timeout = 1ns;
                c.pools.front().fleet.heartbeat_timeout = 0s;
                c.pools.front().fleet.stop_timeout = c.pools.front().fleet.kill_timeout;
                c.pools.front().fleet.backoff.limit = c.pools.front().fleet.backoff.step;
              }),
              IsEmpty());
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().workers = 0;
                c.pools.front().prefix = {0, 0};
              }),
              IsEmpty());
}

TEST(Mistakes, EachPairOfListenersIsLookedAt) {
  const auto with_third = [](const char* address) {
    return mistakes_after([&](Config& c) { c.listeners.push_back(*parse_listener(address, "third")); });
  };
  EXPECT_THAT(with_third("unix:@app"), ElementsAre("-l unix:@app is given twice"));
  EXPECT_THAT(with_third(":8080"), ElementsAre("-l :8080 is given twice"));
  EXPECT_THAT(with_third(":8081"), IsEmpty());
}

TEST(Mistakes, AreAllReportedAtOnce) {
  EXPECT_THAT(texts(find_mistakes(Config(), {})),
              ElementsAre(HasSubstr("no listener"), HasSubstr("no worker command")));
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().queue_limit = 0;
                c.backlog = 0;
                c.pools.front().fleet.surge = 0;
              }),
              ElementsAre(HasSubstr("--backlog"), HasSubstr("--queue-limit"), HasSubstr("--surge")));
}

TEST(Mistakes, ListenersThatAnIntakeCannotServeAreMistakes) {
  EXPECT_THAT(mistakes_after([](Config& c) { c.pools.front().intake = Intake::Capture; }),
              ElementsAre(HasSubstr("listener app: a Unix path cannot be steered")));
  EXPECT_THAT(mistakes_after([](Config& c) { c.pools.front().intake = Intake::None; }),
              testing::Contains(HasSubstr("--intake none has no listener")));
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().intake = Intake::None;
                c.listeners.clear();
              }),
              IsEmpty());
}

TEST(Mistakes, PlanesThatAnIntakeCannotHaveAreMistakes) {
  const auto with = [](Intake intake, Plane plane) {
    return mistakes_after([&](Config& c) {
      c.listeners.pop_back();
      if (intake == Intake::None) c.listeners.clear();
      c.pools.front().intake = intake;
      c.pools.front().plane = plane;
    });
  };
  EXPECT_THAT(with(Intake::Capture, Plane::Pass), ElementsAre(HasSubstr("--plane pass needs workers of the SDK")));
  EXPECT_THAT(with(Intake::None, Plane::Steer), ElementsAre(HasSubstr("no use to --intake none")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Self), ElementsAre(HasSubstr("--plane self is that of --intake none")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Steer), IsEmpty());
  EXPECT_THAT(with(Intake::Sdk, Plane::Pass), IsEmpty());
  EXPECT_THAT(with(Intake::None, Plane::Self), IsEmpty());
}

TEST(Mistakes, NodeWorkersNeedTheirChannel) {
  const auto with = [](Intake intake, Plane plane, NodeDialect dialect, std::vector<std::string> command) {
    return mistakes_after([&](Config& c) {
      PoolConfig& pool = c.pools.front();
      pool.intake = intake;
      pool.plane = plane;
      pool.node.dialect = dialect;
      pool.command = std::move(command);
    });
  };
  using D = NodeDialect;
  EXPECT_THAT(with(Intake::Auto, Plane::Auto, D::Auto, {"node", "a.js"}), IsEmpty()) << "one of them is a Unix path";
  EXPECT_THAT(with(Intake::Node, Plane::Pass, D::SocketIo, {"deno", "run", "a.js"}), IsEmpty());
  EXPECT_THAT(with(Intake::Node, Plane::Auto, D::Auto, {"npm", "start"}), ElementsAre(HasSubstr("starts yours")));
  EXPECT_THAT(with(Intake::Auto, Plane::Auto, D::Plain, {"yarn", "start"}), ElementsAre(HasSubstr("starts yours")));
  EXPECT_THAT(with(Intake::Auto, Plane::Auto, D::Auto, {"npm", "start"}),
              ElementsAre(AllOf(HasSubstr("starts yours"), HasSubstr("--intake capture"))));
  EXPECT_THAT(with(Intake::Auto, Plane::Pass, D::Auto, {"npx", "app"}), ElementsAre(HasSubstr("starts yours")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Auto, D::Auto, {"npm", "start"}), IsEmpty()) << "he must know";
  EXPECT_THAT(with(Intake::Node, Plane::Steer, D::Auto, {"node", "a.js"}), Contains(HasSubstr("--plane steer")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Auto, D::Plain, {"node", "a.js"}),
              ElementsAre(HasSubstr("--node-dialect needs --intake node, not sdk")));
}

TEST(Mistakes, DatagramsDoNotGoOverTheChannelOfNode) {
  const auto mistakes = mistakes_after([](Config& c) {
    c.pools.front().command = {"node", "a.js"};
    c.listeners.front().address = *parse_listen_address("udp://:5353");
  });
  EXPECT_THAT(mistakes, ElementsAre(HasSubstr("datagrams")));
}

TEST(ChosenIntake, IsNodeWhereTheCommandOrTheDialectSaysSo) {
  PoolConfig pool;
  pool.command = {"node", "server.js"};
  EXPECT_EQ(chosen_intake(pool), Intake::Node);
  pool.command = {"node", "-e", "1"};
  EXPECT_EQ(chosen_intake(pool), Intake::Auto);
  pool.node.dialect = NodeDialect::Cluster;
  EXPECT_EQ(chosen_intake(pool), Intake::Node);
  pool.intake = Intake::Capture;
  EXPECT_EQ(chosen_intake(pool), Intake::Capture);
  pool = {};
  pool.command = {"node", "server.js"};
  pool.plane = Plane::Steer;
  EXPECT_EQ(chosen_intake(pool), Intake::Auto) << "it is captured there";
}

// What a file says: the position in it, and its keys in place of the options.
const Origin kFile = {Origin::Kind::File, "web.toml", {}, ""};
Origin line(std::size_t number) { return {Origin::Kind::File, "web.toml", {number, 3}, ""}; }
KeyPath pool_key(std::string key) { return {Scope::Pool, "main", std::move(key), ""}; }

TEST(Mistakes, OfAFileAreNamedByTheirKeysAndShownAtTheirPlace) {
  Config config = valid_config();
  config.pools.front().fleet.surge = 0;
  config.pools.front().fleet.kill_timeout = 2min;
  Origins origins = {{KeyPath{}, kFile}, {pool_key("surge"), line(7)}, {pool_key("kill-timeout"), line(9)}};
  for (const ListenerConfig& listener : config.listeners) {
    origins[{Scope::Listener, listener.name, "address", ""}] = line(2);
  }
  EXPECT_THAT(texts(find_mistakes(config, origins)),
              ElementsAre("web.toml:7:3: surge 0 would renew nothing",
                          "web.toml:9:3: stop-timeout must not be shorter than kill-timeout"));
}

TEST(Mistakes, OfSeveralSourcesNameEachAsItWasGiven) {
  Config config = valid_config();
  config.pools.front().fleet.kill_timeout = 2min;
  Origins origins;
  origins[pool_key("kill-timeout")] = {Origin::Kind::Variable, "HOLDFAST_KILL_TIMEOUT", {}, ""};
  EXPECT_THAT(texts(find_mistakes(config, origins)),
              ElementsAre("--stop-timeout must not be shorter than --kill-timeout (--kill-timeout is from "
                          "HOLDFAST_KILL_TIMEOUT)"));
}

TEST(Mistakes, OfSeveralPoolsAreFoundInEach) {
  const auto with_second = [](const std::function<void(Config&)>& change) {
    return mistakes_after([&](Config& config) {
      PoolConfig& second = config.pools.emplace_back(config.pools.front());
      second.name = "second";
      config.listeners[1].pool = "second";
      change(config);
    });
  };
  EXPECT_THAT(with_second([](Config&) {}), IsEmpty());
  EXPECT_THAT(with_second([](Config& c) { c.pools[1].queue_limit = 0; }),
              ElementsAre("--queue-limit 0 would let nobody in"));
  EXPECT_THAT(with_second([](Config& c) { c.pools[1].name = "main"; }),
              testing::Contains("two pools are named 'main'"));
  EXPECT_THAT(with_second([](Config& c) { c.listeners[1].pool = "secnd"; }),
              testing::Contains("listener 'app': there is no pool 'secnd', did you mean 'second'?"));
  EXPECT_THAT(with_second([](Config& c) { c.listeners[1].pool = ""; }),
              ElementsAre(HasSubstr("pool 'second' has no listener: write pool = \"second\"")));
  EXPECT_THAT(with_second([](Config& c) {
                c.listeners[1].pool = "";
                c.pools[1].intake = Intake::Sdk;
              }),
              IsEmpty())
      << "it may serve the bus alone";
}

TEST(Validate, WhatGoesThroughRedisNeedsOne) {
  const auto with = [](const std::function<void(Config&)>& change) { return mistakes_after(change); };
  EXPECT_THAT(with([](Config& c) { c.bus.stream = {"chat.**"}; }), ElementsAre(HasSubstr("it needs --bus-redis")));
  EXPECT_THAT(with([](Config& c) { c.pools.front().scope = PoolScope::Fleet; }),
              ElementsAre(HasSubstr("--scope fleet shares the pool with other machines through Redis")));
  EXPECT_THAT(with([](Config& c) { c.bus.stream_length = 0; }),
              ElementsAre("--bus-stream-length 0 would keep nothing"));
  EXPECT_THAT(with([](Config& c) {
                c.bus.redis = "redis://cache";
                c.bus.stream = {"chat.**"};
                c.pools.front().scope = PoolScope::Fleet;
              }),
              IsEmpty());
}

TEST(Validate, HealthChecksAndRecyclingMustBePossible) {
  const auto pool = [](const std::function<void(PoolConfig&)>& change) {
    return mistakes_after([&](Config& config) {
      config.listeners.pop_back();  // a path, which not every intake takes
      change(config.pools.front());
    });
  };
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.http = "/healthz"; }), IsEmpty());
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.http = "healthz"; }), ElementsAre(HasSubstr("no target of a request")));
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.http = "/a b"; }), ElementsAre(HasSubstr("no target of a request")));
  EXPECT_THAT(pool([](PoolConfig& p) {
                p.health.http = "/";
                p.health.command = {"true"};
              }),
              ElementsAre(HasSubstr("choose one of them")));
  EXPECT_THAT(pool([](PoolConfig& p) {
                p.health.http = "/";
                p.intake = Intake::Capture;
              }),
              ElementsAre(HasSubstr("needs workers that are passed connections")));
  EXPECT_THAT(pool([](PoolConfig& p) {
                p.health.command = {"true"};
                p.intake = Intake::Capture;
              }),
              IsEmpty());
  EXPECT_THAT(pool([](PoolConfig& p) {
                p.health.http = "/";
                p.recycle.connections = 5;
                p.command = {"node", "server.js"};
              }),
              IsEmpty());
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.policy.interval = 1ms; }), ElementsAre(HasSubstr("health-interval")));
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.policy.timeout = 0ms; }), ElementsAre(HasSubstr("health-timeout")));
  EXPECT_THAT(pool([](PoolConfig& p) { p.health.policy.fail = p.health.policy.pass = 0; }),
              ElementsAre(HasSubstr("health-fail"), HasSubstr("health-pass")));
  EXPECT_THAT(pool([](PoolConfig& p) { p.recycle.jitter = 91; }), ElementsAre(HasSubstr("recycle-jitter")));
  EXPECT_THAT(pool([](PoolConfig& p) {
                p.recycle.connections = 5;
                p.intake = Intake::ListenFds;
              }),
              ElementsAre(HasSubstr("recycle-connections")));
}

}  // namespace
}  // namespace holdfast
