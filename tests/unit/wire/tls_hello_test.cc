#include "wire/tls_hello.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// What OpenSSL 3.0 sends for www.Example.com with h2 and http/1.1; and at most TLS 1.2, without either.
const std::string kOpenSsl = from_hex(
    "1603010200010001fc0303cd2f4efe76becceff04eebea8833003ad01df02dd8bdb7338445f7830a8b2ffd2098701ecd"
    "6ed1b68be71f4e8233361763e7ac884c1f05c7df8ae57c6a16e297c00024130213031301c02cc030c02bc02fcca9cca8"
    "c024c028c023c027009f009e006b006700ff0100018f00000014001200000f7777772e4578616d706c652e636f6d000b"
    "000403000102000a00160014001d0017001e0019001801000101010201030104002300000010000e000c026832086874"
    "74702f312e310016000000170000000d002a0028040305030603080708080809080a080b080408050806040105010601"
    "030303010302040205020602002b00050403040303002d00020101003300260024001d002054b0810d0e023143091d11"
    "0045214622dad5552728a11f4ec97e5373cd69b206001500cc0000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000");
const std::string kOpenSslTls12 = from_hex(
    "160301009d010000990303fb6bf82ba2523a5b1d28418d4fa9fa2c645e741274cd73fa55c798e91ca8e54000001ec02c"
    "c030c02bc02fcca9cca8c024c028c023c027009f009e006b006700ff01000052000b000403000102000a000c000a001d"
    "0017001e00190018002300000016000000170000000d002a0028040305030603080708080809080a080b080408050806"
    "040105010601030303010302040205020602");

std::string number(std::size_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xff);
  return text;
}
std::string vector(int length_bytes, const std::string& content) {
  return number(content.size(), length_bytes) + content;
}
std::string extension(std::size_t type, const std::string& body) { return number(type, 2) + vector(2, body); }
std::string sni(const std::string& name) { return extension(0, vector(2, number(0, 1) + vector(2, name))); }
std::string alpn(const std::string& protocols) { return extension(16, vector(2, protocols)); }

std::string message(const std::string& extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector(1, std::string(32, 's')) +
                           vector(2, "\x0a\x0a\x13\x01") + vector(1, "\0"s) + vector(2, extensions);
  return "\x01" + vector(3, body);
}
std::string record(const std::string& fragment) { return "\x16\x03\x01" + vector(2, fragment); }
std::string hello_with(const std::string& extensions) { return record(message(extensions)); }

TlsHello hello_of(const std::string& bytes) {
  const TlsLook look = look_at_tls_hello(bytes);
  if (const auto* const hello = std::get_if<TlsHello>(&look)) return *hello;
  ADD_FAILURE() << "no hello, but answer " << look.index();
  return {};
}

testing::Matcher<const TlsLook&> is_refused(TlsFault fault) { return testing::VariantWith<TlsFault>(fault); }

void expect_that_every_split_waits(const std::string& bytes) {
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const TlsLook look = look_at_tls_hello(std::string_view(bytes).substr(0, length));
    ASSERT_TRUE(std::holds_alternative<NeedMore>(look)) << length;
    EXPECT_GT(std::get<NeedMore>(look).at_least, length);
    EXPECT_LE(std::get<NeedMore>(look).at_least, bytes.size()) << length;
  }
  (void)hello_of(bytes);
}

TEST(TlsHello, ReadsWhatOpenSslSends) {
  const TlsHello hello = hello_of(kOpenSsl);
  EXPECT_EQ(hello.server_name, "www.example.com");
  EXPECT_THAT(hello.alpn, ElementsAre("h2", "http/1.1"));
  expect_that_every_split_waits(kOpenSsl);
  EXPECT_EQ(hello_of(kOpenSslTls12).server_name, "");
  EXPECT_TRUE(hello_of(kOpenSslTls12).alpn.empty());
}

TEST(TlsHello, IgnoresWhatFollows) {
  EXPECT_EQ(hello_of(hello_with(sni("a.example")) + "\x17\x03\x03 early data").server_name, "a.example");
  EXPECT_EQ(hello_of(record(message(sni("a.example")) + "next message")).server_name, "a.example");
}

TEST(TlsHello, IsTheSameInOneRecordAndInMany) {
  const std::string whole = message(sni("a.example") + alpn("\x02h2"));
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    const std::string bytes = record(whole.substr(0, cut)) + record(whole.substr(cut));
    EXPECT_EQ(hello_of(bytes).server_name, "a.example") << cut;
  }
  const std::string three = record(whole.substr(0, 1)) + record(whole.substr(1, 2)) + record(whole.substr(3));
  expect_that_every_split_waits(three);
}

TEST(TlsHello, TakesOnlySoManyRecords) {
  const std::string whole = message(sni("a.example"));
  std::string bytes;
  for (std::size_t i = 0; i + 1 < kMaxHelloRecords; ++i) bytes += record(whole.substr(i, 1));
  EXPECT_EQ(hello_of(bytes + record(whole.substr(kMaxHelloRecords - 1))).server_name, "a.example");
  bytes += record(whole.substr(kMaxHelloRecords - 1, 1));
  EXPECT_THAT(look_at_tls_hello(bytes + record(whole.substr(kMaxHelloRecords))), is_refused(TlsFault::TooLarge));
}

TEST(TlsHello, PassesOverGreaseAndUnknownExtensions) {
  const std::string extensions = extension(0x2a2a, "") + extension(0xfafa, "\0"s) + extension(65037, "ech") +
                                 alpn("\x02\x6a\x6a\x02h2\x02\x8a\x8b") + sni("a.example");
  const TlsHello hello = hello_of(hello_with(extensions));
  EXPECT_EQ(hello.server_name, "a.example");
  EXPECT_THAT(hello.alpn, ElementsAre("h2", "\x8a\x8b"));
}

TEST(TlsHello, HasNoExtensionsInOldProtocols) {
  const std::string body = "\x03\x01" + std::string(32, 'r') + vector(1, "") + vector(2, "\0\x2f"s) + vector(1, "\0"s);
  EXPECT_EQ(hello_of(record("\x01" + vector(3, body))).server_name, "");
  EXPECT_EQ(hello_of(record("\x01" + vector(3, body + vector(2, "")))).server_name, "");
}

TEST(TlsHello, ANameIsComparableText) {
  EXPECT_EQ(hello_of(hello_with(sni("WWW.Example.COM."))).server_name, "www.example.com");
  EXPECT_EQ(hello_of(hello_with(sni(std::string(255, 'a')))).server_name.size(), 255U);
  const std::string other_type = number(7, 1) + vector(2, "x") + number(0, 1) + vector(2, "a.example");
  EXPECT_EQ(hello_of(hello_with(extension(0, vector(2, other_type)))).server_name, "a.example");
  const std::string only_other = number(7, 1) + vector(2, "x");
  EXPECT_EQ(hello_of(hello_with(extension(0, vector(2, only_other)))).server_name, "");
}

TEST(TlsHello, RefusesNamesThatAreNone) {
  for (const std::string& name : {""s, "a\0b"s, "a b"s, "\xc3\xa4.example"s, std::string(256, 'a'), "a\n"s}) {
    EXPECT_THAT(look_at_tls_hello(hello_with(sni(name))), is_refused(TlsFault::Malformed)) << name;
  }
}

TEST(TlsHello, RefusesWhatBreaksTheForm) {
  const std::string name = number(0, 1) + vector(2, "a.example");
  for (const std::string& extensions : {
           sni("a.example") + sni("b.example"),            // twice
           extension(0, vector(2, name + name)),           // two names of one type
           extension(0, vector(2, name) + "x"),            // something behind the list
           extension(0, vector(2, "")), extension(0, ""),  // no list
           extension(0, number(99, 2) + name),             // a length that is too long
           alpn("\x02h2") + alpn("\x02h2"), alpn("\x03h2"), alpn("\0"s), alpn(""), "\0\0"s,
           number(0, 2) + number(50, 2) + "short",  // cut off
       }) {
    EXPECT_THAT(look_at_tls_hello(hello_with(extensions)), is_refused(TlsFault::Malformed));
  }
  const std::string whole = message(sni("a.example"));
  std::string longer = whole + "x";
  longer[3] = static_cast<char>(longer[3] + 1);
  EXPECT_THAT(look_at_tls_hello(record(longer)), is_refused(TlsFault::Malformed)) << "something behind the extensions";
  EXPECT_THAT(look_at_tls_hello(record("\x01" + vector(3, "\x03\x03"))), is_refused(TlsFault::Malformed));
  EXPECT_THAT(look_at_tls_hello(record("")), is_refused(TlsFault::Malformed)) << "an empty record";
  EXPECT_THAT(look_at_tls_hello(record(whole.substr(0, 9)) + "\x17\x03\x01"s + vector(2, "data")),
              is_refused(TlsFault::Malformed))
      << "another record in between";
  EXPECT_THAT(look_at_tls_hello("\x16\x03\x01\x40\x01"s), is_refused(TlsFault::Malformed)) << "over 2^14 bytes";
}

TEST(TlsHello, RefusesOtherProtocolsAtTheFirstByteThatShowsThem) {
  for (const std::string& bytes : {"GET / HTTP/1.1"s, "\x80\x2e\x01\x03\x01"s, "\x15\x03\x01"s, "\x16\x02"s,
                                   "\x16\x03\x01\x00\x05\x02"s, "\x17"s}) {
    EXPECT_THAT(look_at_tls_hello(bytes), is_refused(TlsFault::NotTls)) << bytes;
  }
  EXPECT_TRUE(std::holds_alternative<NeedMore>(look_at_tls_hello("")));
  EXPECT_TRUE(std::holds_alternative<NeedMore>(look_at_tls_hello("\x16")));
}

TEST(TlsHello, TakesAHelloOf16KiBAndNoLargerOne) {
  const std::size_t fixed = hello_with(extension(21, "")).size();
  const std::string largest = hello_with(extension(21, std::string(kMaxPreface - fixed, '\0')));
  ASSERT_EQ(largest.size(), kMaxPreface);
  (void)hello_of(largest);
  const std::string head = "\x16\x03\x01\x40\x00\x01\x00"s;
  EXPECT_THAT(look_at_tls_hello(head + number(kMaxPreface - 3, 2)), is_refused(TlsFault::TooLarge)) << "one byte more";
  EXPECT_THAT(look_at_tls_hello("\x16\x03\x01\x40\x00\x01\xff\xff\xff"s), is_refused(TlsFault::TooLarge));
  std::string many = message(extension(21, std::string(kMaxPreface - 200, '\0')));
  std::string bytes;
  for (std::size_t i = 0; i < many.size(); i += 300) bytes += record(many.substr(i, 300));
  ASSERT_GT(bytes.size(), kMaxPreface);
  EXPECT_THAT(look_at_tls_hello(bytes), is_refused(TlsFault::TooLarge)) << "with the heads of its records it is larger";
  EXPECT_THAT(look_at_tls_hello(std::string_view(bytes).substr(0, 16'000)),
              testing::Not(is_refused(TlsFault::Malformed)));
}

}  // namespace
}  // namespace holdfast
