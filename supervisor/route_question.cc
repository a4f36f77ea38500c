#include "route_question.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/text.h"
#include "front_door.h"
#include "wire/http_head.h"

namespace holdfast {

namespace {

// A client that is only described.
struct Described {
  IpAddress address;
  bool is_proxied = false;
  std::string head;
  std::optional<HttpHead> http;  // points into `head`
  std::string server_name;
  std::vector<std::string> alpn;
};

Outcome read_head(const ControlRequest& request, Described& client) {
  client.head = request.text("head").value_or("");
  if (client.head.empty()) return Done{};
  HttpLook found = HttpHeadSearch().look(client.head);
  auto* const head = std::get_if<HttpHead>(&found);
  if (head == nullptr) return Error{{}, "what was given of its request makes no head of HTTP/1"};
  client.http = std::move(*head);
  return Done{};
}

Outcome read_client(const ControlRequest& request, Described& client) {
  const std::string text = request.text("address").value_or("");
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (!address) return Error{{}, "'" + text + "' is not an IPv4 or IPv6 address"};
  client.address = *address;
  client.is_proxied = request.is_set("proxied");
  client.server_name = lower_case(request.text("server_name").value_or(""));
  const std::string offered = request.text("alpn").value_or("");
  for (std::string_view rest = offered; !rest.empty();) client.alpn.emplace_back(trimmed(take_until(rest, ',')));
  return read_head(request, client);
}

PrefaceFacts facts_of(const Described& client) {
  PrefaceFacts facts;
  facts.remote = client.address;
  if (client.is_proxied) facts.proxy = client.address;
  if (client.http) facts.request = &client.http->request;
  facts.server_name = client.server_name;
  facts.alpn = client.alpn;
  return facts;
}

Arrival arrival_of(const Described& client, ListenerId listener) {
  Arrival arrival;
  arrival.listener = listener;
  arrival.remote = {client.address.is_v6() ? Endpoint::Family::V6 : Endpoint::Family::V4, client.address, 0};
  return arrival;
}

Pool* find_pool(const std::vector<std::unique_ptr<Pool>>& pools, std::string_view name) {
  for (const std::unique_ptr<Pool>& pool : pools) {
    if (name.empty() || pool->name() == name) return pool.get();
  }
  return nullptr;
}

template <class Named, class NameOf>
std::string names_of(const std::vector<Named>& all, NameOf name_of) {
  std::string names;
  for (const Named& each : all) names += (names.empty() ? "" : ", ") + name_of(each);
  return names.empty() ? "none" : names;
}

// What was asked for by name, or where clients come who are asked nothing.
struct Place {
  Pool* pool = nullptr;
  const ListenerConfig* listener = nullptr;
};

Result<Place> place_of(const ControlRequest& request, const std::vector<ListenerConfig>& listeners,
                       const std::vector<std::unique_ptr<Pool>>& pools) {
  const std::optional<std::string> pool_name = request.text("pool");
  const std::optional<std::string> listener_name = request.text("listener");
  if (pool_name && !listener_name) {
    if (Pool* const pool = find_pool(pools, *pool_name)) return Place{pool, nullptr};
    const auto name = [](const std::unique_ptr<Pool>& each) { return each->name(); };
    return Error{{}, "there is no pool '" + *pool_name + "': there is " + names_of(pools, name)};
  }
  for (const ListenerConfig& listener : listeners) {
    if (listener_name && listener.name != *listener_name) continue;
    if (Pool* const pool = find_pool(pools, listener.pool)) return Place{pool, &listener};
  }
  if (!listener_name) return Place{pools.front().get(), nullptr};
  const auto name = [](const ListenerConfig& each) { return each.name; };
  return Error{{}, "there is no listener '" + *listener_name + "': there is " + names_of(listeners, name)};
}

}  // namespace

Result<RouteAnswer> answer_route(const ControlRequest& request, const std::vector<ListenerConfig>& listeners,
                                 const std::vector<std::unique_ptr<Pool>>& pools) {
  Described client;
  if (Outcome read = read_client(request, client); !read) return std::move(read).error();
  const Result<Place> place = place_of(request, listeners, pools);
  if (!place) return place.error();
  const FrontDoor* const door = place->listener == nullptr ? nullptr : place->pool->door(place->listener->name);
  RouteAnswer answer;
  answer.address = *request.text("address");
  if (place->listener != nullptr) {
    answer.listener = place->listener->name;
    answer.routes = static_cast<std::uint32_t>(place->listener->routes.size());
  }
  const bool looks_for_http = door != nullptr && door->looks_for_http();
  if (looks_for_http && !client.http) answer.missing = "of its request nothing is told (--target, --header)";
  if (!looks_for_http && client.http) answer.missing = "are not looked at: no route and no key asks for them";
  if (door == nullptr) {
    place->pool->explain(arrival_of(client, ListenerId{}), answer);
    return answer;
  }
  if (door->always_proxied()) client.is_proxied = true;
  answer.address_from = client.is_proxied ? "proxy-header" : "connection";
  const FrontDoor::Decision decision = door->foresee(facts_of(client));
  answer.limits = door->limits();
  if (decision.route) answer.route = door->route_text(*decision.route);
  if (decision.refusal) answer.refused = to_text(*decision.refusal);
  if (decision.target == nullptr) return answer;
  Pool* const pool = find_pool(pools, decision.target->pool->name);
  if (pool == nullptr) return answer;
  Arrival arrival = arrival_of(client, decision.target->listener);
  arrival.key = decision.key;
  pool->explain(arrival, answer);
  return answer;
}

Result<ClientsAnswer> answer_clients(const ControlRequest& request, const std::vector<ListenerConfig>& listeners,
                                     const std::vector<std::unique_ptr<Pool>>& pools) {
  constexpr std::int64_t kMostSources = 10'000;  // an answer has its limit too
  const std::int64_t count = std::clamp<std::int64_t>(request.number("count").value_or(10), 0, kMostSources);
  const std::optional<std::string> name = request.text("listener");
  ClientsAnswer answer;
  for (const ListenerConfig& listener : listeners) {
    if (name && listener.name != *name) continue;
    const Pool* const pool = find_pool(pools, listener.pool);
    const FrontDoor* const door = pool == nullptr ? nullptr : pool->door(listener.name);
    const auto most = static_cast<std::size_t>(count);
    if (door != nullptr) {
      answer.listeners.push_back(door->clients(most));
    } else if (pool != nullptr) {
      answer.listeners.push_back(pool->clients(listener.name, most));
    } else {
      answer.listeners.emplace_back().name = listener.name;
    }
  }
  if (!name || !answer.listeners.empty()) return answer;
  const auto name_of = [](const ListenerConfig& each) { return each.name; };
  return Error{{}, "there is no listener '" + *name + "': there is " + names_of(listeners, name_of)};
}

}  // namespace holdfast
