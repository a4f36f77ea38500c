#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/ip_address.h"
#include "wire/peeked.h"

namespace holdfast {

// The PROXY protocol, versions 1 and 2, as its receiver must read it (the specification is proxy-protocol.txt of HAProxy). A
// proxy writes a header in front of the client's bytes and tells whose connection it really is.
//
// Whether there is a header is never guessed: a listener is configured to get one, and what does not begin
// with a whole valid header there is refused. `look_at_proxy_header` says as soon as it can that a prefix will not become one.
//
// Text and bytes in a ProxyHeader are views into the prefix that was looked at, and live as long as that.

enum class ProxyCommand {
  Local,  // the proxy's own connection (a health check): the connection's own addresses are the real ones
  Proxy,  // on behalf of a client
};

enum class ProxyTransport { Unspecified, Stream, Datagram };

struct ProxyInternet {
  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  bool operator==(const ProxyInternet&) const = default;
};

struct ProxyUnix {
  std::string source;  // a path, "@name" in the abstract name space, "" for a socket without a name
  std::string destination;
  bool operator==(const ProxyUnix&) const = default;
};

// What the proxy knows of the client's TLS, which ended at the proxy.
struct ProxySsl {
  bool over_tls = false;
  bool certificate_in_connection = false;  // the client showed one on this connection ...
  bool certificate_in_session = false;     // ... or at least once in the TLS session
  bool verified = false;                   // a certificate was shown and found good
  std::string_view version;                // "TLSv1.3"
  std::string_view common_name;            // of the client's certificate
  std::string_view cipher;
  std::string_view signature_algorithm;
  std::string_view key_algorithm;
};

// What version 2 may carry beside the addresses; empty: not there. Of a type that stands twice the first one counts.
struct ProxyTlvs {
  std::string_view alpn;
  std::string_view authority;  // the name that the client asked for (SNI), at most 255 bytes
  std::string_view unique_id;  // opaque, at most 128 bytes
  std::string_view network_namespace;
  std::optional<ProxySsl> ssl;
  // The endpoint through which a client of a cloud's private link came. These types are from the range for applications:
  // a value that does not have the vendor's form is somebody else's and is left out.
  std::string_view aws_endpoint;  // "vpce-..."
  std::optional<std::uint32_t> azure_link;
  std::optional<std::uint64_t> google_connection;
};

struct ProxyHeader {
  std::size_t length = 0;  // bytes to consume; what follows is the client's
  unsigned version = 0;
  ProxyCommand command = ProxyCommand::Local;
  ProxyTransport transport = ProxyTransport::Unspecified;
  // Nothing: the addresses of the connection itself are to be used (LOCAL, UNKNOWN, an unspecified family or transport).
  std::variant<std::monostate, ProxyInternet, ProxyUnix> addresses;
  ProxyTlvs tlvs;
};

// Why a connection that must have a header is refused. Each is a reason to be counted.
enum class ProxyFault {
  NoHeader,           // does not begin like one
  LineTooLong,        // version 1: no CRLF within 107 bytes
  BadLine,            // version 1: not exactly the specified form
  UnknownVersion,     // neither 1 nor 2
  UnknownCommand,     // version 2: neither LOCAL nor PROXY
  UnknownFamily,      // version 2: an address family that has no meaning
  UnknownTransport,   // version 2: the same for the transport
  TooLong,            // version 2: longer than kMaxPreface
  AddressesTooShort,  // version 2: the announced length has no room for the addresses of the family
  BadTlv,             // version 2: a TLV that is cut off, or whose value cannot be
  BadChecksum,        // version 2: the CRC32C does not match
};
// "the checksum does not match the header"
[[nodiscard]] std::string_view text_of(ProxyFault fault);

using ProxyLook = std::variant<NeedMore, ProxyHeader, ProxyFault>;

[[nodiscard]] ProxyLook look_at_proxy_header(std::string_view prefix);

}  // namespace holdfast
