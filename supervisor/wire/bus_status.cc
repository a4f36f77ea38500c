#include "wire/bus_status_members.h"

namespace holdfast {

namespace {

Json json_of(const FleetLinkStatus& fleet) {
  return {{"redis", fleet.redis},
          {"trouble", fleet.trouble},
          {"stream_trouble", fleet.stream_trouble},
          {"sent", fleet.sent},
          {"unsent", fleet.unsent},
          {"waiting", fleet.waiting},
          {"received", fleet.received},
          {"missing", fleet.missing},
          {"malformed", fleet.malformed},
          {"reconnects", fleet.reconnects},
          {"machines", Json(fleet.machines)}};
}

void read(JsonMembers& members, FleetLinkStatus& fleet) {
  members.read("redis", fleet.redis);
  members.read("trouble", fleet.trouble);
  members.read("stream_trouble", fleet.stream_trouble);
  members.read("sent", fleet.sent);
  members.read("unsent", fleet.unsent);
  members.read("waiting", fleet.waiting);
  members.read("received", fleet.received);
  members.read("missing", fleet.missing);
  members.read("malformed", fleet.malformed);
  members.read("reconnects", fleet.reconnects);
  members.read("machines", fleet.machines);
}

}  // namespace

Json json_of(const BusStatus& bus) {
  Json object = {{"node", bus.node},
                 {"published", bus.published},
                 {"delivered", bus.delivered},
                 {"dropped", bus.dropped},
                 {"undelivered", bus.undelivered},
                 {"disconnected", bus.disconnected},
                 {"subscriptions", bus.subscriptions},
                 {"calls", bus.calls},
                 {"retained", bus.retained},
                 {"members", Json::array()}};
  for (const BusMemberStatus& member : bus.members) {
    object["members"].push_back({{"worker", member.worker},
                                 {"subscriptions", member.subscriptions},
                                 {"published", member.published},
                                 {"delivered", member.delivered},
                                 {"dropped", member.dropped},
                                 {"waiting", member.waiting},
                                 {"off", member.is_off}});
  }
  // A list of one, or of none where there is no Redis.
  object["fleet"] = Json::array();
  if (!bus.fleet.redis.empty()) object["fleet"].push_back(json_of(bus.fleet));
  return object;
}

void read(JsonMembers& members, BusStatus& bus) {
  members.read("node", bus.node);
  members.read("published", bus.published);
  members.read("delivered", bus.delivered);
  members.read("dropped", bus.dropped);
  members.read("undelivered", bus.undelivered);
  members.read("disconnected", bus.disconnected);
  members.read("subscriptions", bus.subscriptions);
  members.read("calls", bus.calls);
  members.read("retained", bus.retained);
  members.each("members", [&](JsonMembers& one) {
    BusMemberStatus& member = bus.members.emplace_back();
    one.read("worker", member.worker);
    one.read("subscriptions", member.subscriptions);
    one.read("published", member.published);
    one.read("delivered", member.delivered);
    one.read("dropped", member.dropped);
    one.read("waiting", member.waiting);
    one.read("off", member.is_off);
  });
  members.each("fleet", [&](JsonMembers& one) { read(one, bus.fleet); });
}

}  // namespace holdfast
