#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/peeked.h"

namespace holdfast {

// The first message of a TLS client (RFC 8446, 4.1.2, and its elders back to SSL 3), as far as it is readable without a key. With encrypted
// client hello (ECH) the name is the outer one: that of the provider, not of the site.
struct TlsHello {
  std::string server_name;        // SNI, in lower case and without a dot at its end; empty: the client named none
  std::vector<std::string> alpn;  // protocols in the client's order ("h2", "http/1.1"), without GREASE (RFC 8701)
};

enum class TlsFault {
  NotTls,     // does not begin with a handshake record of a client
  Malformed,  // begins like one, and breaks its form
  TooLarge,   // ends beyond kMaxPreface, or comes in more than kMaxHelloRecords records
};

// A hello may be cut into records at any byte. Some programs that hide the name from middleboxes cut it into a few dozen.
inline constexpr unsigned kMaxHelloRecords = 64;

using TlsLook = std::variant<NeedMore, TlsHello, TlsFault>;

// Keeps nothing between looks: NeedMore is exact to the end of a record, so there are few of them.
[[nodiscard]] TlsLook look_at_tls_hello(std::string_view prefix);

}  // namespace holdfast
