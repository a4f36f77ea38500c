#include "wire/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/checksum.h"

namespace holdfast {
namespace {

using namespace std::string_view_literals;

std::uint8_t byte_at(std::string_view bytes, std::size_t offset) { return static_cast<std::uint8_t>(bytes[offset]); }

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) number = number << 8 | byte_at(bytes, i);
  return number;
}

std::uint16_t port_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(big_endian(bytes.substr(offset, 2)));
}

// Version 1: one line of text.

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::size_t kShortestLine = 15;  // "PROXY UNKNOWN\r\n"
constexpr std::size_t kLongestLine = 107;  // UNKNOWN with two IPv6 addresses, CRLF included

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, port);
  if (code != std::errc{} || rest != end || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  return port;
}

// An address in the format that the family dictates. IPv6 may end in a dotted IPv4 address, as inet_ntop writes some.
std::optional<IpAddress> parse_address(std::string_view text, bool v6) {
  const bool has_colon = text.find(':') != std::string_view::npos;
  if (has_colon != v6 || text.find('%') != std::string_view::npos) return std::nullopt;
  return IpAddress::parse(text);
}

// Takes what stands before the next space. A space too many leaves an empty word, which no field accepts.
std::string_view take_word(std::string_view& rest) {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  return word;
}

// `fields`: what stands after "TCP4 " or "TCP6 ".
std::optional<ProxyInternet> parse_fields(std::string_view fields, bool v6) {
  if (std::count(fields.begin(), fields.end(), ' ') != 3) return std::nullopt;
  const std::optional<IpAddress> source = parse_address(take_word(fields), v6);
  const std::optional<IpAddress> destination = parse_address(take_word(fields), v6);
  const std::optional<std::uint16_t> source_port = parse_port(take_word(fields));
  const std::optional<std::uint16_t> destination_port = parse_port(fields);
  if (!source || !destination || !source_port || !destination_port) return std::nullopt;
  return ProxyInternet{*source, *destination, *source_port, *destination_port};
}

ProxyLook look_at_line(std::string_view prefix) {
  if (prefix.size() < kShortestLine && prefix.find_first_of(kLineEnd) == std::string_view::npos)
    return NeedMore{kShortestLine};
  const std::size_t end = prefix.substr(0, kLongestLine - 1).find_first_of(kLineEnd);
  if (end == std::string_view::npos) {
    if (prefix.size() >= kLongestLine) return ProxyFault::LineTooLong;
    return NeedMore{prefix.size() + 1};
  }
  if (prefix[end] == '\r' && prefix.size() == end + 1) return NeedMore{end + kLineEnd.size()};
  if (prefix.substr(end, kLineEnd.size()) != kLineEnd) return ProxyFault::BadLine;

  ProxyHeader header{
      .length = end + kLineEnd.size(), .version = 1, .command = ProxyCommand::Proxy, .addresses = {}, .tlvs = {}};
  const std::string_view line = prefix.substr(kLineStart.size(), end - kLineStart.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return header;
  const bool v6 = line.starts_with("TCP6 ");
  if (!v6 && !line.starts_with("TCP4 ")) return ProxyFault::BadLine;
  const std::optional<ProxyInternet> addresses = parse_fields(line.substr("TCP4 "sv.size()), v6);
  if (!addresses) return ProxyFault::BadLine;
  header.transport = ProxyTransport::Stream;
  header.addresses = *addresses;
  return header;
}

// Version 2: signature, version and command, family and transport, length, addresses, TLVs.

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kVersionOffset = 12;
constexpr std::size_t kFamilyOffset = 13;
constexpr std::size_t kLengthOffset = 14;
constexpr std::size_t kFixedPart = 16;
static_assert(kSignature.size() == kVersionOffset);

enum Family : std::uint8_t { kUnspecified = 0, kIpv4 = 1, kIpv6 = 2, kUnix = 3 };
constexpr std::array<std::size_t, 4> kAddressesOf = {0, 2 * 4 + 2 * 2, 2 * 16 + 2 * 2, 2 * 108};  // bytes, by family
constexpr std::size_t kUnixPath = 108;
constexpr unsigned kMaxTransport = 2;

IpAddress v6_at(std::string_view bytes, std::size_t offset) {
  std::array<std::uint8_t, 16> address;
  for (std::size_t i = 0; i < address.size(); ++i) address[i] = byte_at(bytes, offset + i);
  return IpAddress::v6(address);
}

IpAddress v4_at(std::string_view bytes, std::size_t offset) {
  return IpAddress::v4(static_cast<std::uint32_t>(big_endian(bytes.substr(offset, 4))));
}

// As sun_path has it: up to the first zero byte; a zero byte in front is the abstract name space.
std::string unix_path(std::string_view bytes) {
  const bool abstract = bytes.size() > 1 && bytes[0] == '\0' && bytes[1] != '\0';
  if (abstract) bytes.remove_prefix(1);
  return (abstract ? "@" : "") + std::string(bytes.substr(0, bytes.find('\0')));
}

void read_addresses(std::string_view bytes, std::uint8_t family, ProxyHeader& header) {
  switch (family) {
    case kIpv4:
      header.addresses = ProxyInternet{v4_at(bytes, 0), v4_at(bytes, 4), port_at(bytes, 8), port_at(bytes, 10)};
      break;
    case kIpv6:
      header.addresses = ProxyInternet{v6_at(bytes, 0), v6_at(bytes, 16), port_at(bytes, 32), port_at(bytes, 34)};
      break;
    case kUnix:
      header.addresses =
          ProxyUnix{unix_path(bytes.substr(0, kUnixPath)), unix_path(bytes.substr(kUnixPath, kUnixPath))};
      break;
    default:
      break;
  }
}

enum TlvType : std::uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kUniqueId = 0x05,
  kSsl = 0x20,
  kSslVersion = 0x21,
  kSslCommonName = 0x22,
  kSslCipher = 0x23,
  kSslSignatureAlgorithm = 0x24,
  kSslKeyAlgorithm = 0x25,
  kNetworkNamespace = 0x30,
  kGoogle = 0xe0,
  kAws = 0xea,
  kAzure = 0xee,
};
constexpr std::size_t kMaxUniqueId = 128;   // the specification's
constexpr std::size_t kMaxAuthority = 255;  // the longest name that the DNS has

struct Tlv {
  std::uint8_t type = 0;
  std::string_view value;
};

// Takes one TLV; nothing if it is cut off. `rest` is not empty.
std::optional<Tlv> take_tlv(std::string_view& rest) {
  constexpr std::size_t kHead = 3;  // type, and two bytes of length
  if (rest.size() < kHead) return std::nullopt;
  const std::size_t length = big_endian(rest.substr(1, 2));
  if (rest.size() - kHead < length) return std::nullopt;
  const Tlv tlv{byte_at(rest, 0), rest.substr(kHead, length)};
  rest.remove_prefix(kHead + length);
  return tlv;
}

void keep_first(std::string_view& member, std::string_view value) {
  if (member.data() == nullptr) member = value;
}

std::optional<ProxySsl> read_ssl(std::string_view value) {
  constexpr std::size_t kHead = 5;  // flags, and four bytes of the result of the verification
  constexpr unsigned kClientSsl = 1, kCertificateInConnection = 2, kCertificateInSession = 4;
  if (value.size() < kHead) return std::nullopt;
  const unsigned client = byte_at(value, 0);
  ProxySsl ssl;
  ssl.over_tls = (client & kClientSsl) != 0;
  ssl.certificate_in_connection = (client & kCertificateInConnection) != 0;
  ssl.certificate_in_session = (client & kCertificateInSession) != 0;
  // 0 means verified only if there was a certificate: a sender has no other number for "none was shown".
  ssl.verified = (ssl.certificate_in_connection || ssl.certificate_in_session) && big_endian(value.substr(1, 4)) == 0;
  for (std::string_view rest = value.substr(kHead); !rest.empty();) {
    const std::optional<Tlv> tlv = take_tlv(rest);
    if (!tlv) return std::nullopt;
    switch (tlv->type) {
      case kSslVersion:
        keep_first(ssl.version, tlv->value);
        break;
      case kSslCommonName:
        keep_first(ssl.common_name, tlv->value);
        break;
      case kSslCipher:
        keep_first(ssl.cipher, tlv->value);
        break;
      case kSslSignatureAlgorithm:
        keep_first(ssl.signature_algorithm, tlv->value);
        break;
      case kSslKeyAlgorithm:
        keep_first(ssl.key_algorithm, tlv->value);
        break;
      default:
        break;
    }
  }
  return ssl;
}

void read_vendor(const Tlv& tlv, ProxyTlvs& tlvs) {
  constexpr char kEndpoint = 1;  // subtype of both AWS (the VPC endpoint's name) and Azure (the link's number)
  const std::string_view value = tlv.value;
  if (tlv.type == kGoogle && value.size() == 8 && !tlvs.google_connection) {
    tlvs.google_connection = big_endian(value);
  } else if (tlv.type == kAws && value.size() > 1 && value[0] == kEndpoint) {
    keep_first(tlvs.aws_endpoint, value.substr(1));
  } else if (tlv.type == kAzure && value.size() == 5 && value[0] == kEndpoint && !tlvs.azure_link) {
    const std::string little_endian(value.rbegin(), value.rend() - 1);
    tlvs.azure_link = static_cast<std::uint32_t>(big_endian(little_endian));
  }
}

std::optional<ProxyFault> read_tlv(const Tlv& tlv, ProxyTlvs& tlvs) {
  switch (tlv.type) {
    case kAlpn:
      keep_first(tlvs.alpn, tlv.value);
      break;
    case kAuthority:
      if (tlv.value.size() > kMaxAuthority) return ProxyFault::BadTlv;
      keep_first(tlvs.authority, tlv.value);
      break;
    case kUniqueId:
      if (tlv.value.size() > kMaxUniqueId) return ProxyFault::BadTlv;
      keep_first(tlvs.unique_id, tlv.value);
      break;
    case kNetworkNamespace:
      keep_first(tlvs.network_namespace, tlv.value);
      break;
    case kSsl: {
      const std::optional<ProxySsl> ssl = read_ssl(tlv.value);
      if (!ssl) return ProxyFault::BadTlv;
      if (!tlvs.ssl) tlvs.ssl = ssl;
      break;
    }
    default:
      read_vendor(tlv, tlvs);  // NOOP and what we do not know is passed over
      break;
  }
  return std::nullopt;
}

// The checksum is taken over the whole header with zeros in its own place.
bool checksum_matches(std::string_view header, std::string_view stored) {
  const auto offset = static_cast<std::size_t>(stored.data() - header.data());
  Crc32c crc;
  crc.add(header.substr(0, offset));
  crc.add("\0\0\0\0"sv);
  crc.add(header.substr(offset + stored.size()));
  return crc.value() == big_endian(stored);
}

// Whether the bytes are TLVs and nothing but TLVs.
bool are_tlvs(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!take_tlv(bytes)) return false;
  }
  return true;
}

// `bytes`: the well-formed TLVs of `header`.
std::optional<ProxyFault> fault_in_checksum(std::string_view header, std::string_view bytes) {
  bool seen = false;
  while (!bytes.empty()) {
    const Tlv tlv = *take_tlv(bytes);
    if (tlv.type != kCrc32c) continue;
    if (tlv.value.size() != 4 || seen) return ProxyFault::BadTlv;
    if (!checksum_matches(header, tlv.value)) return ProxyFault::BadChecksum;
    seen = true;
  }
  return std::nullopt;
}

std::optional<ProxyFault> read_tlvs(std::string_view bytes, ProxyTlvs& tlvs) {
  while (!bytes.empty()) {
    if (const std::optional<ProxyFault> fault = read_tlv(*take_tlv(bytes), tlvs)) return fault;
  }
  return std::nullopt;
}

// The fixed part, as far as it is there: what is wrong is said at the first byte that shows it.
std::optional<ProxyFault> fault_in_fixed_part(std::string_view prefix) {
  if (prefix.size() <= kVersionOffset) return std::nullopt;
  const unsigned version_and_command = byte_at(prefix, kVersionOffset);
  if (version_and_command >> 4 != 2) return ProxyFault::UnknownVersion;
  if ((version_and_command & 0xf) > 1) return ProxyFault::UnknownCommand;
  const bool local = (version_and_command & 0xf) == 0;
  if (prefix.size() <= kFamilyOffset) return std::nullopt;
  const std::size_t family = byte_at(prefix, kFamilyOffset) >> 4;
  if (!local && family >= kAddressesOf.size()) return ProxyFault::UnknownFamily;
  if (!local && (byte_at(prefix, kFamilyOffset) & 0xf) > kMaxTransport) return ProxyFault::UnknownTransport;
  if (prefix.size() < kFixedPart) return std::nullopt;
  const std::size_t length = port_at(prefix, kLengthOffset);
  if (length > kMaxPreface - kFixedPart) return ProxyFault::TooLong;
  if (!local && length < kAddressesOf[family]) return ProxyFault::AddressesTooShort;
  return std::nullopt;
}

ProxyLook look_at_binary(std::string_view prefix) {
  if (const std::optional<ProxyFault> fault = fault_in_fixed_part(prefix)) return *fault;
  if (prefix.size() < kFixedPart) return NeedMore{kFixedPart};
  ProxyHeader header{.length = kFixedPart + port_at(prefix, kLengthOffset), .version = 2, .addresses = {}, .tlvs = {}};
  if (prefix.size() < header.length) return NeedMore{header.length};

  const std::string_view whole = prefix.substr(0, header.length);
  const std::string_view body = whole.substr(kFixedPart);
  const std::uint8_t family = byte_at(whole, kFamilyOffset) >> 4;
  if ((byte_at(whole, kVersionOffset) & 0xf) != 0) header.command = ProxyCommand::Proxy;
  const bool local = header.command == ProxyCommand::Local;

  // LOCAL may announce any family and any length, and behind an unspecified family may stand anything: there it is no
  // fault if what follows are no TLVs.
  const std::size_t addresses =
      family < kAddressesOf.size() ? std::min(kAddressesOf[family], body.size()) : body.size();
  const std::string_view tlvs = body.substr(addresses);
  if (!are_tlvs(tlvs)) {
    if (local || family == kUnspecified) return header;
    return ProxyFault::BadTlv;
  }
  if (const std::optional<ProxyFault> fault = fault_in_checksum(whole, tlvs)) return *fault;
  if (local) return header;  // the rest of it says nothing about this connection
  if (const std::optional<ProxyFault> fault = read_tlvs(tlvs, header.tlvs)) return *fault;
  header.transport = static_cast<ProxyTransport>(byte_at(whole, kFamilyOffset) & 0xf);
  if (header.transport != ProxyTransport::Unspecified) read_addresses(body, family, header);
  return header;
}

}  // namespace

std::string_view text_of(ProxyFault fault) {
  switch (fault) {
    case ProxyFault::NoHeader:
      return "does not begin with a PROXY header";
    case ProxyFault::LineTooLong:
      return "the PROXY line has no CRLF within 107 bytes";
    case ProxyFault::BadLine:
      return "the PROXY line is not of the specified form";
    case ProxyFault::UnknownVersion:
      return "the version of the PROXY header is not 2";
    case ProxyFault::UnknownCommand:
      return "the command of the PROXY header is neither LOCAL nor PROXY";
    case ProxyFault::UnknownFamily:
      return "the PROXY header has an unknown address family";
    case ProxyFault::UnknownTransport:
      return "the PROXY header has an unknown transport";
    case ProxyFault::TooLong:
      return "the PROXY header is longer than 16 KiB";
    case ProxyFault::AddressesTooShort:
      return "the PROXY header is too short for the addresses of its family";
    case ProxyFault::BadTlv:
      return "the PROXY header has a malformed TLV";
    case ProxyFault::BadChecksum:
      return "the checksum does not match the PROXY header";
  }
  return "";
}

ProxyLook look_at_proxy_header(std::string_view prefix) {
  const auto begins_like = [prefix](std::string_view start) {
    return prefix.substr(0, start.size()) == start.substr(0, prefix.size());
  };
  if (begins_like(kSignature)) {
    if (prefix.empty()) return NeedMore{kShortestLine};
    return look_at_binary(prefix);
  }
  if (begins_like(kLineStart)) return look_at_line(prefix);
  return ProxyFault::NoHeader;
}

}  // namespace holdfast
