#include "core/group_address.h"

#include <variant>

namespace holdfast {
namespace {

using Domain = SocketDomain;
using V4Clients = GroupAddress::V4Clients;
using Family = TcpAddress::Family;

struct Asked {
  Transport transport;
  Family family;
  IpAddress address;
  std::uint16_t port;
};

std::optional<Asked> asked(const ListenAddress& address) {
  if (const auto* tcp = std::get_if<TcpAddress>(&address)) {
    return Asked{Transport::Stream, tcp->family, tcp->address, tcp->port};
  }
  if (const auto* udp = std::get_if<UdpAddress>(&address)) {
    return Asked{Transport::Datagram, udp->family, udp->address, udp->port};
  }
  return std::nullopt;
}

}  // namespace

std::optional<GroupAddress> group_address(const ListenAddress& address, Domain domain) {
  const std::optional<Asked> wanted = asked(address);
  if (!wanted) return std::nullopt;
  GroupAddress group{wanted->transport, domain, V4Clients::Refused, wanted->address, wanted->port};
  switch (wanted->family) {
    case Family::DualStack:
      group.address = domain == Domain::Inet6 ? IpAddress::v6({}) : IpAddress{};
      if (domain == Domain::Inet6) group.v4_clients = V4Clients::Mapped;
      return group;
    case Family::V4:
      if (domain == Domain::Inet6) group.v4_clients = V4Clients::Mapped;
      return group;
    case Family::V6:
      break;
  }
  if (domain == Domain::Inet) return std::nullopt;
  return group;
}

Domain natural_domain(const ListenAddress& address) {
  const std::optional<Asked> wanted = asked(address);
  return wanted && wanted->family == Family::V4 ? Domain::Inet : Domain::Inet6;
}

std::string to_text(const GroupAddress& group) {
  const std::string port = ":" + std::to_string(group.port);
  const std::string prefix = group.transport == Transport::Datagram ? "udp://" : "";
  if (group.domain == Domain::Inet) return prefix + group.address.text() + port;
  const std::string mapped = group.address.is_v6() ? "" : "::ffff:";
  return prefix + "[" + mapped + group.address.text() + "]" + port;
}

}  // namespace holdfast
