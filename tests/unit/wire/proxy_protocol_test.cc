#include "wire/proxy_protocol.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <gmock/gmock.h>

#include "core/checksum.h"

namespace holdfast {
namespace {

using namespace std::string_literals;

constexpr std::uint8_t kLocal = 0x20, kProxy = 0x21;
constexpr std::uint8_t kUnspecified = 0x00, kTcp4 = 0x11, kUdp4 = 0x12, kTcp6 = 0x21, kUnixStream = 0x31;
constexpr std::uint8_t kAlpn = 0x01, kAuthority = 0x02, kCrc32c = 0x03, kNoop = 0x04, kUniqueId = 0x05, kSsl = 0x20;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
// 192.0.2.1:56324 to 198.51.100.7:443
const std::string kAddresses4 = "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"s;
const std::string kAddresses6 =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc\x04\x01\xbb"s;

std::string number16(std::size_t number) {
  return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

std::string tlv(std::uint8_t type, const std::string& value) {
  return std::string(1, static_cast<char>(type)) + number16(value.size()) + value;
}

std::string v2(std::uint8_t version_and_command, std::uint8_t family, const std::string& body) {
  const auto byte = [](std::uint8_t value) { return std::string(1, static_cast<char>(value)); };
  return kSignature + byte(version_and_command) + byte(family) + number16(body.size()) + body;
}

std::string tcp4_with(const std::string& tlvs) { return v2(kProxy, kTcp4, kAddresses4 + tlvs); }

// `make(checksum TLV)` is the header; the checksum in it is right.
template <class Make>
std::string with_checksum(const Make& make) {
  const std::uint32_t sum = crc32c(make(tlv(kCrc32c, std::string(4, '\0'))));
  return make(tlv(kCrc32c, number16(sum >> 16) + number16(sum & 0xffff)));
}

// What the parser says of a whole header.
ProxyHeader header_of(const std::string& bytes) {
  const ProxyLook look = look_at_proxy_header(bytes);
  if (const auto* const header = std::get_if<ProxyHeader>(&look)) return *header;
  if (const auto* const fault = std::get_if<ProxyFault>(&look)) ADD_FAILURE() << text_of(*fault);
  if (std::holds_alternative<NeedMore>(look)) ADD_FAILURE() << "needs more";
  return {};
}

testing::Matcher<const ProxyLook&> is_refused(ProxyFault fault) { return testing::VariantWith<ProxyFault>(fault); }
testing::Matcher<const ProxyLook&> needs_more() { return testing::VariantWith<NeedMore>(testing::_); }

ProxyInternet internet(const ProxyHeader& header) { return std::get<ProxyInternet>(header.addresses); }
bool uses_the_real_addresses(const ProxyHeader& header) {
  return std::holds_alternative<std::monostate>(header.addresses);
}

// Every prefix of a header asks for more, never for more than the header has, and more bytes never ask for less.
void expect_that_every_split_waits(const std::string& header) {
  std::size_t asked = 0;
  for (std::size_t length = 0; length < header.size(); ++length) {
    const ProxyLook look = look_at_proxy_header(std::string_view(header).substr(0, length));
    ASSERT_TRUE(std::holds_alternative<NeedMore>(look)) << length;
    const std::size_t at_least = std::get<NeedMore>(look).at_least;
    EXPECT_GT(at_least, length);
    EXPECT_LE(at_least, header.size()) << length;
    EXPECT_GE(at_least, asked) << length;
    asked = at_least;
  }
  EXPECT_EQ(header_of(header).length, header.size());
  EXPECT_EQ(header_of(header + "GET / HTTP/1.1\r\n\r\n").length, header.size()) << "with payload in the same segment";
  EXPECT_EQ(header_of(header + header).length, header.size()) << "only the outermost header is read";
}

TEST(ProxyProtocolV1, ReadsAddressesOfBothFamilies) {
  const ProxyHeader v4 = header_of("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
  EXPECT_EQ(v4.version, 1U);
  EXPECT_EQ(v4.command, ProxyCommand::Proxy);
  EXPECT_EQ(v4.transport, ProxyTransport::Stream);
  EXPECT_EQ(internet(v4), (ProxyInternet{IpAddress::v4(0xc0000201), IpAddress::v4(0xc6336407), 56324, 443}));

  const ProxyHeader v6 = header_of("PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:2 0 65535\r\n");
  EXPECT_EQ(internet(v6),
            (ProxyInternet{*IpAddress::parse("2001:db8::1"), *IpAddress::parse("2001:db8::2"), 0, 65535}));
  // As inet_ntop writes mapped addresses. The client is the IPv4 client that it would be without the proxy.
  const ProxyHeader mapped = header_of("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 1 2\r\n");
  EXPECT_EQ(internet(mapped).source, IpAddress::v4(0xc0000201));
}

TEST(ProxyProtocolV1, WaitsAtEverySplit) {
  expect_that_every_split_waits("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
  expect_that_every_split_waits("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
  const std::string longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  expect_that_every_split_waits("PROXY TCP6 " + longest + " " + longest + " 65535 65535\r\n");
  expect_that_every_split_waits("PROXY UNKNOWN\r\n");
}

// "The receiver must wait for the CRLF sequence before starting to decode", and find it within 107 bytes.
TEST(ProxyProtocolV1, TakesALineOf107BytesAndNoLongerOne) {
  const std::string longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const std::string worst = "PROXY UNKNOWN " + longest + " " + longest + " 65535 65535\r\n";
  ASSERT_EQ(worst.size(), 107U);
  expect_that_every_split_waits(worst);
  const std::string longer = "PROXY UNKNOWN " + longest + " " + longest + " 65535 655355\r\n";
  EXPECT_THAT(look_at_proxy_header(longer), is_refused(ProxyFault::LineTooLong));
  EXPECT_THAT(look_at_proxy_header(longer.substr(0, 106)), needs_more());
  EXPECT_THAT(look_at_proxy_header(longer.substr(0, 107)), is_refused(ProxyFault::LineTooLong));
}

// "must not tolerate a single CR or LF character to end the line"
TEST(ProxyProtocolV1, RefusesALineThatEndsInALoneCrOrLf) {
  EXPECT_THAT(look_at_proxy_header("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), is_refused(ProxyFault::BadLine));
  EXPECT_THAT(look_at_proxy_header("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rG"), is_refused(ProxyFault::BadLine));
  EXPECT_THAT(look_at_proxy_header("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n"), is_refused(ProxyFault::BadLine));
  EXPECT_THAT(look_at_proxy_header("PROXY UNKNOWN\n"), is_refused(ProxyFault::BadLine));
  EXPECT_THAT(look_at_proxy_header("PROXY \n"), is_refused(ProxyFault::BadLine)) << "at once, however short";
}

// "For UNKNOWN the receiver must ignore anything presented before the CRLF", and use the connection's own addresses.
TEST(ProxyProtocolV1, IgnoresWhatFollowsUnknown) {
  for (const char* const line : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN \r\n", "PROXY UNKNOWN ffff:: 1.2.3.4 x y z\r\n",
                                 "PROXY UNKNOWN \x01\xff TCP4\r\n"}) {
    const ProxyHeader header = header_of(line);
    EXPECT_TRUE(uses_the_real_addresses(header)) << line;
    EXPECT_EQ(header.length, std::string_view(line).size());
  }
  EXPECT_THAT(look_at_proxy_header("PROXY UNKNOWNS\r\n"), is_refused(ProxyFault::BadLine));
}

// "Any sequence which does not exactly match the protocol must be discarded and cause the receiver to abort"
TEST(ProxyProtocolV1, RefusesEverythingThatIsNotExactlyTheForm) {
  for (const char* const line : {
           "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",        // a field is missing
           "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",    // a field too many
           "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",     // two spaces
           "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",     //
           "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",     // a space at the end
           "PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n",     // not a space
           "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",     // a heading zero in a port
           "PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n",     //
           "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",  // no port
           "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",     //
           "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",     //
           "PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n",    //
           "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",     // a heading zero in an address
           "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",    //
           "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",        //
           "PROXY TCP4 ::1 5.6.7.8 1 2\r\n",          // the family dictates the format
           "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",          //
           "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",     //
           "PROXY TCP6 ::1::2 ::1 1 2\r\n",           //
           "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",    // not 128 bits
           "PROXY TCP6 12345::1 ::1 1 2\r\n",         //
           "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",      // a protocol that version 1 does not have
           "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",      //
           "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",      //
           "PROXY TCP4 example.com 5.6.7.8 1 2\r\n",  //
           "PROXY \r\n",                              //
       }) {
    EXPECT_THAT(look_at_proxy_header(line), is_refused(ProxyFault::BadLine)) << line;
  }
}

// "MUST not try to guess whether the header is present": what a client would send is refused, and at its first wrong byte.
TEST(ProxyProtocol, RefusesWhatIsNoHeader) {
  for (const std::string& bytes : {"GET / HTTP/1.1\r\n\r\n"s, "\x16\x03\x01"s, "PRI * HTTP/2.0"s, "PROXYTCP4"s,
                                   "proxy "s, "\r\n\r\n\0\r\nQUIX"s, "\r\nG"s, "X"s, "\0"s}) {
    EXPECT_THAT(look_at_proxy_header(bytes), is_refused(ProxyFault::NoHeader)) << bytes;
  }
  EXPECT_THAT(look_at_proxy_header(""), needs_more());
  EXPECT_THAT(look_at_proxy_header("PR"), needs_more());
}

TEST(ProxyProtocolV2, ReadsAddressesOfEveryFamily) {
  const ProxyHeader v4 = header_of(tcp4_with(""));
  EXPECT_EQ(v4.version, 2U);
  EXPECT_EQ(v4.command, ProxyCommand::Proxy);
  EXPECT_EQ(v4.transport, ProxyTransport::Stream);
  EXPECT_EQ(internet(v4), (ProxyInternet{IpAddress::v4(0xc0000201), IpAddress::v4(0xc6336407), 56324, 443}));

  const ProxyHeader v6 = header_of(v2(kProxy, kTcp6, kAddresses6));
  EXPECT_EQ(internet(v6),
            (ProxyInternet{*IpAddress::parse("2001:db8::1"), *IpAddress::parse("2001:db8::2"), 56324, 443}));
  EXPECT_EQ(header_of(v2(kProxy, kUdp4, kAddresses4)).transport, ProxyTransport::Datagram);

  std::string source = "/run/client.sock", destination = "\0holdfast"s;
  source.resize(108);
  destination.resize(108);
  const ProxyHeader local = header_of(v2(kProxy, kUnixStream, source + destination));
  EXPECT_EQ(std::get<ProxyUnix>(local.addresses), (ProxyUnix{"/run/client.sock", "@holdfast"}));
  const ProxyHeader unnamed = header_of(v2(kProxy, kUnixStream, std::string(108, '\0') + std::string(108, 'p')));
  EXPECT_EQ(std::get<ProxyUnix>(unnamed.addresses), (ProxyUnix{"", std::string(108, 'p')}));
}

TEST(ProxyProtocolV2, WaitsAtEverySplit) {
  expect_that_every_split_waits(tcp4_with(""));
  expect_that_every_split_waits(tcp4_with(tlv(kAuthority, "example.com") + tlv(kNoop, "")));
  expect_that_every_split_waits(v2(kProxy, kTcp6, kAddresses6));
  expect_that_every_split_waits(v2(kProxy, kUnixStream, std::string(216, 'x')));
  expect_that_every_split_waits(v2(kLocal, kUnspecified, ""));
}

// "the receiver must only accept this value [2]"
TEST(ProxyProtocolV2, RefusesEveryOtherVersion) {
  for (unsigned version = 0; version < 16; ++version) {
    if (version == 2) continue;
    const auto byte = static_cast<std::uint8_t>(version << 4 | 1);
    EXPECT_THAT(look_at_proxy_header(v2(byte, kTcp4, kAddresses4)), is_refused(ProxyFault::UnknownVersion)) << version;
    EXPECT_THAT(look_at_proxy_header(kSignature + static_cast<char>(byte)), is_refused(ProxyFault::UnknownVersion));
  }
}

// "Receivers must drop connections presenting unexpected values here"
TEST(ProxyProtocolV2, RefusesEveryOtherCommand) {
  for (unsigned command = 2; command < 16; ++command) {
    const auto byte = static_cast<std::uint8_t>(0x20 | command);
    EXPECT_THAT(look_at_proxy_header(v2(byte, kTcp4, kAddresses4)), is_refused(ProxyFault::UnknownCommand)) << command;
    EXPECT_THAT(look_at_proxy_header(kSignature + static_cast<char>(byte)), is_refused(ProxyFault::UnknownCommand));
  }
}

// Other families and transports "must be rejected as invalid by receivers"
TEST(ProxyProtocolV2, RefusesEveryOtherFamilyAndTransport) {
  for (unsigned value = 4; value < 16; ++value) {
    const auto family = static_cast<std::uint8_t>(value << 4 | 1);
    EXPECT_THAT(look_at_proxy_header(v2(kProxy, family, kAddresses6)), is_refused(ProxyFault::UnknownFamily)) << value;
  }
  for (unsigned value = 3; value < 16; ++value) {
    const auto transport = static_cast<std::uint8_t>(0x10 | value);
    EXPECT_THAT(look_at_proxy_header(v2(kProxy, transport, kAddresses4)), is_refused(ProxyFault::UnknownTransport));
  }
}

// "The receiver must accept this connection as valid and must use the real connection endpoints and discard the protocol
// block including the family which is ignored"
TEST(ProxyProtocolV2, LocalUsesTheRealAddressesWhateverElseStandsThere) {
  const std::string authority = tlv(kAuthority, "example.com");
  for (const std::string& bytes :
       {v2(kLocal, kUnspecified, ""), v2(kLocal, kUnspecified, "no TLVs at all"), v2(kLocal, kTcp4, kAddresses4),
        v2(kLocal, kTcp4, "short"), v2(kLocal, kTcp6, kAddresses6 + authority), v2(kLocal, 0xff, "anything"),
        v2(kLocal, kTcp4, kAddresses4 + tlv(kUniqueId, std::string(129, 'u')))}) {
    const ProxyHeader header = header_of(bytes);
    EXPECT_EQ(header.command, ProxyCommand::Local);
    EXPECT_TRUE(uses_the_real_addresses(header));
    EXPECT_EQ(header.length, bytes.size()) << "the announced length is skipped, and is not assumed to be zero";
    EXPECT_EQ(header.tlvs.authority, "");
  }
}

// "The receiver should ignore address information" of an unspecified family or transport.
TEST(ProxyProtocolV2, UnspecifiedUsesTheRealAddresses) {
  EXPECT_TRUE(uses_the_real_addresses(header_of(v2(kProxy, kUnspecified, ""))));
  EXPECT_TRUE(uses_the_real_addresses(header_of(v2(kProxy, kUnspecified, "\xff\xff\xff junk"))));
  EXPECT_TRUE(uses_the_real_addresses(header_of(v2(kProxy, 0x10, kAddresses4)))) << "AF_INET, transport unspecified";
  EXPECT_TRUE(uses_the_real_addresses(header_of(v2(kProxy, 0x01, "")))) << "AF_UNSPEC, STREAM";
  EXPECT_EQ(header_of(v2(kProxy, kUnspecified, tlv(kAuthority, "example.com"))).tlvs.authority, "example.com");
}

TEST(ProxyProtocolV2, RefusesALengthWithoutRoomForTheAddresses) {
  EXPECT_THAT(look_at_proxy_header(v2(kProxy, kTcp4, kAddresses4.substr(1))),
              is_refused(ProxyFault::AddressesTooShort));
  EXPECT_THAT(look_at_proxy_header(v2(kProxy, kTcp6, kAddresses4)), is_refused(ProxyFault::AddressesTooShort));
  EXPECT_THAT(look_at_proxy_header(v2(kProxy, kUnixStream, std::string(215, 'x'))),
              is_refused(ProxyFault::AddressesTooShort));
  EXPECT_THAT(look_at_proxy_header(v2(kProxy, kTcp6, kAddresses4).substr(0, 16)),
              is_refused(ProxyFault::AddressesTooShort))
      << "as soon as the length is there";
}

TEST(ProxyProtocolV2, RefusesAHeaderOverTheLimitBeforeItsBytesCome) {
  const std::string largest = tcp4_with(tlv(kNoop, std::string(kMaxPreface - 16 - 12 - 3, 'n')));
  ASSERT_EQ(largest.size(), kMaxPreface);
  EXPECT_EQ(header_of(largest).length, kMaxPreface);
  const std::string over = kSignature + "\x21\x11" + number16(kMaxPreface - 16 + 1);
  EXPECT_THAT(look_at_proxy_header(over), is_refused(ProxyFault::TooLong));
  EXPECT_THAT(look_at_proxy_header(kSignature + "\x20"s + '\0' + "\xff\xff"), is_refused(ProxyFault::TooLong));
}

TEST(ProxyProtocolV2, ReadsItsTlvs) {
  const std::string tlvs = tlv(kAlpn, "h2") + tlv(kNoop, "padding") + tlv(kAuthority, "example.com") +
                           tlv(kUniqueId, "\0\x01id"s) + tlv(0x30, "blue") + tlv(0xe5, "of some application") +
                           tlv(0xea, "\x01vpce-08d2bf15fac5001c9") + tlv(0xee, "\x01\xc1\x45\x00\x21"s) +
                           tlv(0xe0, "\xff\xff\xff\xff\xc0\xa8\x64\x02");
  const std::string bytes = tcp4_with(tlvs);
  const ProxyTlvs read = header_of(bytes).tlvs;
  EXPECT_EQ(read.alpn, "h2");
  EXPECT_EQ(read.authority, "example.com");
  EXPECT_EQ(read.unique_id, "\0\x01id"s);
  EXPECT_EQ(read.network_namespace, "blue");
  EXPECT_EQ(read.aws_endpoint, "vpce-08d2bf15fac5001c9");
  EXPECT_EQ(read.azure_link, 0x210045c1U);
  EXPECT_EQ(read.google_connection, 0xffffffffc0a86402U);
  EXPECT_FALSE(read.ssl);
}

TEST(ProxyProtocolV2, OfTwoTlvsOfATypeTheFirstCounts) {
  const std::string bytes = tcp4_with(tlv(kAuthority, "") + tlv(kAuthority, "second.example"));
  EXPECT_EQ(header_of(bytes).tlvs.authority, "");
}

TEST(ProxyProtocolV2, ReadsWhatTheProxyKnowsOfTls) {
  const std::string sub = tlv(0x21, "TLSv1.3") + tlv(0x22, "client.example") + tlv(0x23, "TLS_AES_256_GCM_SHA384") +
                          tlv(0x24, "SHA256") + tlv(0x25, "RSA2048") + tlv(0x2f, "newer");
  const std::string bytes = tcp4_with(tlv(kSsl, "\x07\0\0\0\0"s + sub));
  const ProxySsl ssl = *header_of(bytes).tlvs.ssl;
  EXPECT_TRUE(ssl.over_tls && ssl.certificate_in_connection && ssl.certificate_in_session && ssl.verified);
  EXPECT_EQ(ssl.version, "TLSv1.3");
  EXPECT_EQ(ssl.common_name, "client.example");
  EXPECT_EQ(ssl.cipher, "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(ssl.signature_algorithm, "SHA256");
  EXPECT_EQ(ssl.key_algorithm, "RSA2048");

  EXPECT_FALSE(header_of(tcp4_with(tlv(kSsl, "\x03\0\0\0\x12"s))).tlvs.ssl->verified);
  EXPECT_FALSE(header_of(tcp4_with(tlv(kSsl, "\x01\0\0\0\0"s))).tlvs.ssl->verified) << "no certificate was shown";
}

TEST(ProxyProtocolV2, RefusesMalformedTlvs) {
  for (const std::string& tlvs : {
           "\x02"s, "\x02\0"s, "\x02\0\x01"s,                    // cut off
           tlv(kAuthority, "example.com") + "\x04\0\x09short"s,  // reaches beyond the header
           tlv(kUniqueId, std::string(129, 'u')),                // "up to 128 bytes"
           tlv(kAuthority, std::string(256, 'a')),               // no name is that long
           tlv(kSsl, "\x01\0\0\0"s),                             // shorter than its fixed part
           tlv(kSsl,
               "\x01\0\0\0\0\x21\0\x05"
               "TLS"s),                                           // a TLV within it is cut off
           tlv(kCrc32c, "\0\0\0"s), tlv(kCrc32c, "\0\0\0\0\0"s),  // no 32-bit number
       }) {
    EXPECT_THAT(look_at_proxy_header(tcp4_with(tlvs)), is_refused(ProxyFault::BadTlv)) << tlvs;
  }
  EXPECT_EQ(header_of(tcp4_with(tlv(kUniqueId, std::string(128, 'u')))).tlvs.unique_id.size(), 128U);
}

// Those types are for applications: a value of another form is another application's.
TEST(ProxyProtocolV2, PassesOverVendorTlvsOfAnotherForm) {
  const std::string bytes =
      tcp4_with(tlv(0xea, "\x02x") + tlv(0xea, "") + tlv(0xee, "\x01\0\0\0"s) + tlv(0xe0, "seven b"));
  const ProxyTlvs read = header_of(bytes).tlvs;
  EXPECT_EQ(read.aws_endpoint, "");
  EXPECT_FALSE(read.azure_link);
  EXPECT_FALSE(read.google_connection);
}

// "MUST verify that the calculated checksum is the same [...] If it is not, the receiver MUST treat the connection as invalid"
TEST(ProxyProtocolV2, RefusesAHeaderWhoseChecksumDoesNotMatch) {
  const std::string good = with_checksum(
      [](const std::string& sum) { return tcp4_with(tlv(kAuthority, "example.com") + sum + tlv(kNoop, "x")); });
  EXPECT_EQ(header_of(good + "payload is not part of it").tlvs.authority, "example.com");
  for (const std::size_t flipped :
       {std::size_t{17}, std::size_t{25}, std::size_t{36}, std::size_t{47}, good.size() - 1}) {
    std::string bad = good;
    bad[flipped] = static_cast<char>(bad[flipped] ^ 0x10);
    EXPECT_THAT(look_at_proxy_header(bad), is_refused(ProxyFault::BadChecksum)) << flipped;
  }
  // A health check may carry one as well.
  const std::string local = with_checksum([](const std::string& sum) { return v2(kLocal, kUnspecified, sum); });
  EXPECT_EQ(header_of(local).command, ProxyCommand::Local);
  std::string bad_local = local;
  bad_local.back() ^= 1;
  EXPECT_THAT(look_at_proxy_header(bad_local), is_refused(ProxyFault::BadChecksum));
}

TEST(ProxyProtocolV2, RefusesTwoChecksums) {
  const std::string zero = tlv(kCrc32c, std::string(4, '\0'));
  const std::string bytes = with_checksum([&](const std::string& sum) { return tcp4_with(sum + zero); });
  EXPECT_THAT(look_at_proxy_header(bytes), is_refused(ProxyFault::BadTlv));
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// What HAProxy 2.6.12 wrote with `send-proxy-v2-ssl-cn` and crc32c, unique-id, authority, ssl-cipher, cert-key, cert-sig.
TEST(ProxyProtocolV2, ReadsWhatHaproxyWrites) {
  const std::string bytes = from_hex(
      "0d0a0d0a000d0a515549540a211100957f0000017f0000018a8246b6030004d90b449301000268320200147777772e68"
      "6f6c64666173742e6578616d706c6505000e343731312d3132372e302e302e312000520700000000210007544c537631"
      "2e33220010686f6c64666173742e6578616d706c652500075253413230343824000a5253412d53484132353623001654"
      "4c535f4145535f3235365f47434d5f534841333834");
  expect_that_every_split_waits(bytes);
  const ProxyHeader header = header_of(bytes);
  EXPECT_EQ(internet(header), (ProxyInternet{IpAddress::v4(0x7f000001), IpAddress::v4(0x7f000001), 35458, 18102}));
  EXPECT_EQ(header.tlvs.alpn, "h2");
  EXPECT_EQ(header.tlvs.authority, "www.holdfast.example");
  EXPECT_EQ(header.tlvs.unique_id, "4711-127.0.0.1");
  ASSERT_TRUE(header.tlvs.ssl);
  EXPECT_EQ(header.tlvs.ssl->common_name, "holdfast.example");
  EXPECT_EQ(header.tlvs.ssl->version, "TLSv1.3");
  EXPECT_TRUE(header.tlvs.ssl->verified);
  constexpr std::size_t kTypeOfTheChecksum = 28;  // made another type, it protects nothing any more
  for (std::size_t i = 16; i < bytes.size(); ++i) {
    if (i == kTypeOfTheChecksum) continue;
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_THAT(look_at_proxy_header(bad), testing::Not(testing::VariantWith<ProxyHeader>(testing::_))) << i;
  }

  const ProxyHeader check = header_of(from_hex("0d0a0d0a000d0a515549540a20000007030004a9b87e8f"));
  EXPECT_EQ(check.command, ProxyCommand::Local) << "a health check, with its checksum";
  EXPECT_EQ(check.length, 23U);
}

TEST(ProxyProtocol, EveryFaultHasAText) {
  for (int fault = 0; fault <= static_cast<int>(ProxyFault::BadChecksum); ++fault) {
    EXPECT_NE(text_of(static_cast<ProxyFault>(fault)), "") << fault;
  }
}

}  // namespace
}  // namespace holdfast
