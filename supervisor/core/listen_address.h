#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/ip_address.h"
#include "core/result.h"

namespace holdfast {

// What a listener binds. The text forms are those of the command line:
//   ":8080"            every address, IPv4 and IPv6 on one socket (IPv4 alone where the host has no IPv6)
//   "127.0.0.1:8080"   one IPv4 address ("0.0.0.0:8080": every IPv4 address)
//   "[::1]:8080"       one IPv6 address ("[::]:8080": every IPv6 address, and no IPv4)
//   "unix:/run/x.sock" a path; "unix:@name" the abstract name space
//   "unix:/run/x.sock,mode=0660,user=www,group=www" a path whose file is not what umask and user make of it
//   "systemd:web"      the sockets that a service manager opened under this name (FileDescriptorName=)
//   "udp://:5353"      the first three for UDP: "udp://127.0.0.1:53", "udp://[::1]:53"
// Port 0 asks the kernel to choose one.
struct TcpAddress {
  enum class Family { DualStack, V4, V6 };
  Family family = Family::DualStack;
  IpAddress address;  // all zeros: every address of the family
  std::uint16_t port = 0;
  bool operator==(const TcpAddress&) const = default;
};

// What the file of a Unix path is to be; what is not given is left as umask and user make it.
struct SocketFile {
  std::optional<unsigned> mode;  // permission bits
  std::string user;              // name or number
  std::string group;             // the same
  bool operator==(const SocketFile&) const = default;
};

// A kind of its own, although it holds the same: what accepts connections cannot be given one by mistake.
struct UdpAddress {
  using Family = TcpAddress::Family;
  Family family = Family::DualStack;
  IpAddress address;  // all zeros: every address of the family
  std::uint16_t port = 0;
  bool operator==(const UdpAddress&) const = default;
};

struct UnixAddress {
  std::string path;  // "@name" for the abstract name space
  SocketFile file = {};
  bool operator==(const UnixAddress&) const = default;
};

// What it really is the sockets tell, once they are there: nothing that listens has such an address.
struct ActivatedAddress {
  std::string name;
  bool operator==(const ActivatedAddress&) const = default;
};

using ListenAddress = std::variant<TcpAddress, UdpAddress, UnixAddress, ActivatedAddress>;

// Errors say what was wrong with the text and show a form that would be right.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);
// Where it is: ":8080", "127.0.0.1:8080", "[::1]:8080", "unix:/path", "udp://:5353", "systemd:web", without what is chosen for the file.
[[nodiscard]] std::string to_text(const ListenAddress& address);
// Whether the kernel refuses the second of two listeners of one process: the same path or name, or the same port of addresses of
// which one is, or covers, the other. Port 0 is another one each time.
[[nodiscard]] bool in_each_others_way(const ListenAddress& one, const ListenAddress& other);

}  // namespace holdfast
