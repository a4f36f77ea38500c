#include "core/ip_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

std::string text_of(const char* text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  return address ? address->text() : "refused";
}

TEST(IpAddress, ReadsAndWritesDottedIpv4) {
  const std::optional<IpAddress> address = IpAddress::parse("192.0.2.1");
  ASSERT_TRUE(address);
  EXPECT_FALSE(address->is_v6());
  EXPECT_EQ(address->word(0), 0xc0000201U);
  EXPECT_EQ(address->text(), "192.0.2.1");
  EXPECT_EQ(text_of("0.0.0.0"), "0.0.0.0");
  EXPECT_EQ(text_of("255.255.255.255"), "255.255.255.255");
}

TEST(IpAddress, RefusesIpv4ThatHasMoreThanOneReading) {
  for (const char* text :
       {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "1.2.3.04", "01.2.3.4", "0x1.2.3.4",
        "+1.2.3.4", "-1.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4%eth0", "1.2.3.1000", "a.b.c.d"}) {
    EXPECT_EQ(text_of(text), "refused") << text;
  }
}

TEST(IpAddress, WritesIpv6AsRfc5952Asks) {
  EXPECT_EQ(text_of("2001:0DB8:0:0:0:0:0:1"), "2001:db8::1");
  EXPECT_EQ(text_of("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1") << "the first of two runs of the same length";
  EXPECT_EQ(text_of("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1") << "the longer run";
  EXPECT_EQ(text_of("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1") << "a single zero group stays";
  EXPECT_EQ(text_of("0:0:0:0:0:0:0:0"), "::");
  EXPECT_EQ(text_of("::1"), "::1");
  EXPECT_EQ(text_of("fe80::"), "fe80::");
  EXPECT_EQ(text_of("1:2:3:4:5:6:7::"), "1:2:3:4:5:6:7:0");
  EXPECT_EQ(text_of("::2:3:4:5:6:7:8"), "0:2:3:4:5:6:7:8");
  EXPECT_EQ(text_of("64:ff9b::192.0.2.33"), "64:ff9b::c000:221");
  EXPECT_EQ(text_of("::192.0.2.1"), "::c000:201") << "compatible is not mapped";
}

TEST(IpAddress, RefusesIpv6ThatIsNotRfc4291) {
  for (const char* text : {":",
                           ":::",
                           "1:",
                           ":1",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "::1:",
                           ":1::",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1::2:3:4:5:6:7:8",
                           "12345::",
                           "g::",
                           "::1.2.3",
                           "::1.2.3.4:5",
                           "1.2.3.4::",
                           "::256.0.0.1",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "[::1]",
                           "::1%",
                           "::-1",
                           "::+1",
                           "::0x1",
                           " ::1",
                           "::1 "}) {
    EXPECT_EQ(text_of(text), "refused") << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0", 4))) << "a zero byte is a character like any other";
}

TEST(IpAddress, DropsTheZone) {
  EXPECT_EQ(text_of("fe80::1%eth0"), "fe80::1");
  EXPECT_EQ(text_of("fe80::1%2"), "fe80::1");
}

TEST(IpAddress, HoldsAMappedAddressAsIpv4) {
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1"), IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(IpAddress::parse("::ffff:c000:201"), IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}), IpAddress::v4(0xc0000201));
  EXPECT_EQ(text_of("::ffff:0:192.0.2.1"), "::ffff:0:c000:201") << "one group further on it is not mapped";
}

TEST(IpAddress, IsNotTheSameAsTheOtherFamilyWithTheSameWords) {
  EXPECT_NE(IpAddress::parse("::"), IpAddress::parse("0.0.0.0"));
  EXPECT_EQ(IpAddress(), IpAddress::parse("0.0.0.0"));
}

TEST(IpAddress, GivesTheBytesOfTheWire) {
  const std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0xab, 0xcd};
  EXPECT_EQ(IpAddress::v6(bytes).bytes(), bytes);
  EXPECT_EQ(IpAddress::v6(bytes).word(0), 0x20010db8U);
  EXPECT_EQ(IpAddress::v6(bytes).word(3), 0x0005abcdU);
  const std::array<std::uint8_t, 16> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  EXPECT_EQ(IpAddress::v4(0xc0000201).bytes(), mapped);
}

// Addresses with many zeros, so that "::" is met at every place and length.
std::array<std::uint8_t, 16> random_bytes(std::mt19937_64& random) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t group = 0; group < 8; ++group) {
    if (random() % 2 == 0) continue;
    bytes[2 * group] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
    bytes[2 * group + 1] = static_cast<std::uint8_t>(random());
  }
  return bytes;
}

TEST(IpAddress, WritesWhatItReadsBack) {
  std::mt19937_64 random(random_seed());
  for (int i = 0; i < 20'000; ++i) {
    const IpAddress v6 = IpAddress::v6(random_bytes(random));
    ASSERT_EQ(IpAddress::parse(v6.text()), v6) << v6.text();
    const IpAddress v4 = IpAddress::v4(static_cast<std::uint32_t>(random()));
    ASSERT_EQ(IpAddress::parse(v4.text()), v4) << v4.text();
  }
}

// The C library as the second opinion, on texts that are nearly addresses.
TEST(IpAddress, AgreesWithTheCLibraryOnWhatAnAddressIs) {
  std::mt19937_64 random(random_seed());
  const std::string alphabet = "0123456789abcdefF:::..g";
  unsigned accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text = random() % 4 == 0 ? IpAddress::v4(static_cast<std::uint32_t>(random())).text()
                                         : IpAddress::v6(random_bytes(random)).text();
    if (random() % 8 == 0) text = "::ffff:" + IpAddress::v4(static_cast<std::uint32_t>(random())).text();
    for (std::uint64_t edits = random() % 3; edits > 0; --edits) {
      const std::size_t place = random() % (text.size() + 1);
      const char letter = alphabet[random() % alphabet.size()];
      if (random() % 2 == 0) {
        text.insert(place, 1, letter);
      } else if (place < text.size()) {
        text.erase(place, 1);
      }
    }
    std::array<std::uint8_t, 16> v6{};
    std::array<std::uint8_t, 4> v4{};
    std::optional<IpAddress> expected;
    if (inet_pton(AF_INET6, text.c_str(), v6.data()) == 1) {
      expected = IpAddress::v6(v6);
    } else if (inet_pton(AF_INET, text.c_str(), v4.data()) == 1) {
      expected = IpAddress::v4(static_cast<std::uint32_t>(v4[0]) << 24 | v4[1] << 16 | v4[2] << 8 | v4[3]);
    }
    ASSERT_EQ(IpAddress::parse(text), expected) << text;
    accepted += expected ? 1 : 0;
  }
  EXPECT_GT(accepted, 10'000U) << "texts that are all nonsense test little";
}

}  // namespace
}  // namespace holdfast
