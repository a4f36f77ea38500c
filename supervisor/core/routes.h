#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/cidr.h"
#include "core/preface_facts.h"
#include "core/result.h"

namespace holdfast {

// A name with wildcards: '*' stands for any bytes, dots included, and for none: "ws.*", "*.example.com". Held in lower case, as
// the names that it is compared with are.
class NamePattern {
 public:
  explicit NamePattern(std::string_view text);

  [[nodiscard]] bool matches(std::string_view name) const;
  [[nodiscard]] bool covers(const NamePattern& other) const;  // every name that the other one matches, this one does
  [[nodiscard]] const std::string& text() const { return text_; }
  bool operator==(const NamePattern&) const = default;

 private:
  std::string text_;
};

// What a connection must be like; all that is given must hold, and nothing given holds always.
struct RouteCondition {
  struct Header {
    std::string name;
    std::optional<std::string> value;  // exactly; nothing: it has one, whatever it is
    bool operator==(const Header&) const = default;
  };

  // Of the HTTP head. A connection that does not begin with one fulfils none of them.
  std::optional<bool> websocket;
  std::optional<NamePattern> host;
  std::optional<std::string> path_prefix;  // of the decoded path, byte by byte; "." and ".." are not resolved
  std::optional<Header> header;
  // Of the TLS hello, or of what the proxy put into the PROXY header in its place.
  std::optional<NamePattern> server_name;
  std::optional<std::string> alpn;  // the client offers it, among others
  // Of the client's address.
  std::optional<std::vector<Cidr>> source;

  [[nodiscard]] bool needs_http() const { return websocket || host || path_prefix || header; }
  [[nodiscard]] bool needs_tls() const { return server_name || alpn; }
};

struct ToPool {
  std::string pool;
  bool operator==(const ToPool&) const = default;
};
struct ToRefusal {
  bool operator==(const ToRefusal&) const = default;
};

struct Route {
  RouteCondition when;
  std::variant<ToPool, ToRefusal> then;
};

// A listener's routes in their order: the first whose condition holds decides; if none holds, the listener's own pool gets the
// connection. It is decided once, by the first request: a proxy that sends the requests of many clients over one
// connection has all of them decided by the first. And it is no access control, because a worker may read a path in ways that
// are not known here.
class Routes {
 public:
  Routes() = default;
  explicit Routes(std::vector<Route> routes);

  // The index of the route that decides.
  [[nodiscard]] std::optional<std::size_t> match(const PrefaceFacts& facts) const;
  [[nodiscard]] const Route& operator[](std::size_t index) const { return routes_[index]; }
  [[nodiscard]] std::size_t size() const { return routes_.size(); }
  [[nodiscard]] bool needs_http() const;
  [[nodiscard]] bool needs_tls() const;

 private:
  std::vector<Route> routes_;
  std::vector<CidrSet> sources_;  // of each route
};

// Where a listener's connections have their server name and ALPN from.
enum class TlsSource {
  Hello,        // the client's first bytes
  ProxyHeader,  // it may have ended at a proxy that passes them on
};

// What is wrong with a list of routes, each with the index of the route.
struct RouteFault {
  std::size_t route;
  std::string reason;
};
// Finds conditions that can never hold, routes that an earlier one leaves nothing for, pools that do not exist, and text that
// cannot match anything. A route that several earlier ones cover only together is found where they are "websocket" and its
// opposite; else not.
[[nodiscard]] std::vector<RouteFault> faults_in(std::span<const Route> routes, std::span<const std::string> pools,
                                                TlsSource tls);

}  // namespace holdfast
