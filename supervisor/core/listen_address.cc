#include "core/listen_address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

namespace holdfast {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kActivatedPrefix = "systemd:";
constexpr std::string_view kUdpPrefix = "udp://";

// What sun_path (108 bytes) has room for: a path keeps one byte for the zero at its end, an abstract name one for the
// zero in front, in whose place the text has its '@'.
constexpr std::size_t kLongestPath = 107;
constexpr std::size_t kLongestAbstractName = 108;
constexpr std::size_t kLongestActivatedName = 255;  // what FileDescriptorName= takes

Error refuse(std::string_view text, std::string_view reason) {
  return Error{{}, "listen address '" + std::string(text) + "': " + std::string(reason)};
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || code != std::errc{} || rest != end) return std::nullopt;
  return port;
}

constexpr unsigned kPermissionBits = 0777;

// "660", "0660": as chmod(1) takes it.
std::optional<unsigned> parse_mode(std::string_view digits) {
  unsigned mode = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, mode, 8);
  if (digits.empty() || code != std::errc{} || rest != end || mode > kPermissionBits) return std::nullopt;
  return mode;
}

// Where ",word=" stands for the first time, or the end: a comma that no such word follows belongs to the path.
std::size_t end_of_path(std::string_view path) {
  for (std::size_t comma = path.find(','); comma != std::string_view::npos; comma = path.find(',', comma + 1)) {
    const std::size_t equals = path.find_first_not_of("abcdefghijklmnopqrstuvwxyz", comma + 1);
    if (equals != std::string_view::npos && equals > comma + 1 && path[equals] == '=') return comma;
  }
  return path.size();
}

// One "word=value" of the file of a Unix path.
Outcome set_property(SocketFile& file, std::string_view text, std::string_view property) {
  const std::size_t equals = std::min(property.find('='), property.size());
  const std::string_view word = property.substr(0, equals);
  const std::string_view value = property.substr(std::min(equals + 1, property.size()));
  if (word == "mode") {
    file.mode = parse_mode(value);
    if (!file.mode) return refuse(text, "the mode is not octal digits from 0 to 0777; write for instance mode=0660");
  } else if (word == "user" || word == "group") {
    if (value.empty()) return refuse(text, "the " + std::string(word) + " is empty; give its name or its number");
    (word == "user" ? file.user : file.group) = std::string(value);
  } else {
    return refuse(text, "after a path there may be mode=, user= and group=, not '" + std::string(property) + "'");
  }
  return Done{};
}

Result<ListenAddress> parse_unix(std::string_view text, std::string_view path) {
  std::string_view properties = path.substr(end_of_path(path));
  path.remove_suffix(properties.size());
  if (path.empty() || path == "@")
    return refuse(text, "the path is empty; write for instance unix:/run/app.sock or unix:@app");
  if (path.find('\0') != std::string_view::npos) return refuse(text, "the path has a zero byte in it");
  if (path.size() > (path.front() == '@' ? kLongestAbstractName : kLongestPath)) {
    return refuse(text,
                  "the path is longer than the 107 bytes that a Unix socket can have; choose a shorter one, for "
                  "instance in /run");
  }
  if (path.front() == '@' && !properties.empty())
    return refuse(text, "a name in the abstract name space has no file that could have a mode or an owner");
  UnixAddress address{std::string(path)};
  while (!properties.empty()) {
    properties.remove_prefix(1);  // the comma
    const std::size_t end = std::min(properties.find(','), properties.size());
    if (Outcome set = set_property(address.file, text, properties.substr(0, end)); !set) return std::move(set).error();
    properties.remove_prefix(end);
  }
  return ListenAddress{std::move(address)};
}

Result<ListenAddress> parse_activated(std::string_view text, std::string_view name) {
  if (name.empty()) return refuse(text, "the name is empty; write for instance systemd:web");
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
  if (!printable || name.size() > kLongestActivatedName) {
    return refuse(text, "the name is none that FileDescriptorName= of a socket unit can give");
  }
  return ListenAddress{ActivatedAddress{std::string(name)}};
}

// An address with a port, of either transport. `prefix` is what stands before it in `text` and in the forms to write.
struct IpText {
  std::string_view text;
  std::string_view prefix;

  [[nodiscard]] std::string form(std::string_view address) const { return std::string(prefix) + std::string(address); }
};

// `host` is what stands before the colon of the port, brackets and all.
Result<TcpAddress> parse_host(const IpText& whole, std::string_view host, std::uint16_t port) {
  if (host.empty()) return TcpAddress{TcpAddress::Family::DualStack, IpAddress{}, port};

  const std::string colon_port = ":" + std::to_string(port);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.find('%') != std::string_view::npos) {
    return refuse(whole.text, "a zone (%...) cannot be listened on; write the address alone, for instance " +
                                  whole.form("[fd00::1]" + colon_port));
  }
  const std::optional<IpAddress> address = IpAddress::parse(host);
  if (address && bracketed && host.find(':') == std::string_view::npos) {
    return refuse(whole.text, "brackets are for IPv6; write " + whole.form(std::string(host) + colon_port));
  }
  if (!address) {
    return refuse(whole.text,
                  "'" + std::string(host) + "' is not an IP address (names are not looked up); write for instance " +
                      whole.form("127.0.0.1" + colon_port) + ", or " + whole.form(colon_port) + " for every address");
  }
  const TcpAddress::Family family = address->is_v6() ? TcpAddress::Family::V6 : TcpAddress::Family::V4;
  return TcpAddress{family, *address, port};
}

Result<TcpAddress> parse_ip(const IpText& whole) {
  const std::string_view text = whole.text.substr(whole.prefix.size());
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos && parse_port(text))
    return refuse(whole.text, "a port stands after a colon; write " + whole.form(":" + std::string(text)));
  if (colon == std::string_view::npos || text.back() == ']') {
    const bool address = !text.empty() && (text.back() == ']' || IpAddress::parse(text));
    return refuse(whole.text, "there is no port; write for instance " +
                                  whole.form((address ? std::string(text) : "127.0.0.1") + ":8080"));
  }
  if (text.front() != '[' && text.find(':') != colon) {
    return refuse(whole.text,
                  "an IPv6 address stands in brackets before its port; write for instance " + whole.form("[::1]:8080"));
  }
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) {
    return refuse(whole.text, "the port is not a number from 0 to 65535; write for instance " +
                                  whole.form(std::string(text.substr(0, colon)) + ":8080"));
  }
  return parse_host(whole, text.substr(0, colon), *port);
}

struct ToText {
  std::string operator()(const TcpAddress& tcp) const {
    std::string port = ":" + std::to_string(tcp.port);
    switch (tcp.family) {
      case TcpAddress::Family::DualStack:
        break;
      case TcpAddress::Family::V4:
        return tcp.address.text() + port;
      case TcpAddress::Family::V6:
        return "[" + tcp.address.text() + "]" + port;
    }
    return port;
  }
  std::string operator()(const UdpAddress& udp) const {
    return std::string(kUdpPrefix) + (*this)(TcpAddress{udp.family, udp.address, udp.port});
  }
  std::string operator()(const UnixAddress& unix_address) const { return std::string(kUnixPrefix) + unix_address.path; }
  std::string operator()(const ActivatedAddress& activated) const {
    return std::string(kActivatedPrefix) + activated.name;
  }
};

bool is_every_address(const TcpAddress& tcp) { return tcp.address == IpAddress() || tcp.address == IpAddress::v6({}); }

TcpAddress address_and_port(const ListenAddress& address) {
  if (const auto* udp = std::get_if<UdpAddress>(&address)) return {udp->family, udp->address, udp->port};
  return std::get<TcpAddress>(address);
}

bool share_a_family(const TcpAddress& one, const TcpAddress& other) {
  using Family = TcpAddress::Family;
  return one.family == other.family || one.family == Family::DualStack || other.family == Family::DualStack;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return parse_unix(text, text.substr(kUnixPrefix.size()));
  if (text.starts_with(kActivatedPrefix)) return parse_activated(text, text.substr(kActivatedPrefix.size()));
  if (text.empty())
    return refuse(text, "it is empty; write for instance :8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/app.sock");
  if (text.front() == '/' || text.front() == '@' || text.front() == '.') {
    return refuse(text, "a path needs its prefix; write unix:" + std::string(text));
  }
  if (text.starts_with("udp:") && !text.starts_with(kUdpPrefix)) {
    return refuse(text, "a UDP address begins with udp://; write for instance udp://:5353");
  }
  const bool udp = text.starts_with(kUdpPrefix);
  const Result<TcpAddress> address = parse_ip({text, udp ? kUdpPrefix : ""});
  if (!address) return address.error();
  if (udp) return ListenAddress{UdpAddress{address->family, address->address, address->port}};
  return ListenAddress{*address};
}

bool in_each_others_way(const ListenAddress& one, const ListenAddress& other) {
  if (one.index() != other.index()) return false;
  if (const auto* path = std::get_if<UnixAddress>(&one)) return path->path == std::get<UnixAddress>(other).path;
  if (std::holds_alternative<ActivatedAddress>(one)) return one == other;
  const TcpAddress first = address_and_port(one);
  const TcpAddress second = address_and_port(other);
  if (first.port == 0 || first.port != second.port || !share_a_family(first, second)) return false;
  return is_every_address(first) || is_every_address(second) || first.address == second.address;
}

std::string to_text(const ListenAddress& address) { return std::visit(ToText{}, address); }

}  // namespace holdfast
