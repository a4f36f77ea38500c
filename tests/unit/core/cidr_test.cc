#include "core/cidr.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

Cidr cidr(std::string_view text) {
  Result<Cidr> parsed = parse_cidr(text);
  if (!parsed) ADD_FAILURE() << parsed.error().message();
  return parsed ? *parsed : Cidr{};
}
IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

TEST(Cidr, ReadsItsText) {
  EXPECT_EQ(cidr("10.0.0.0/8").text(), "10.0.0.0/8");
  EXPECT_EQ(cidr("0.0.0.0/0").text(), "0.0.0.0/0");
  EXPECT_EQ(cidr("192.0.2.1").text(), "192.0.2.1");
  EXPECT_EQ(cidr("192.0.2.1/32").text(), "192.0.2.1");
  EXPECT_EQ(cidr("2001:DB8::/32").text(), "2001:db8::/32");
  EXPECT_EQ(cidr("::/0").text(), "::/0");
  EXPECT_EQ(cidr("::1/128").text(), "::1");
  EXPECT_EQ(cidr("::ffff:10.0.0.0/104").text(), "10.0.0.0/8");
  EXPECT_EQ(cidr("::ffff:0:0/96").text(), "0.0.0.0/0");
}

TEST(Cidr, RefusesWhatIsNoneAndSaysWhatWouldBe) {
  for (const char* const text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0/8", "10.0.0.0/08x", "::/129",
        "fe80::%eth0/64", "example.com/24", "::ffff:10.0.0.0/95", "10.0.0.0 /8"}) {
    const Result<Cidr> parsed = parse_cidr(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr("'" + std::string(text) + "'"));
  }
  EXPECT_THAT(parse_cidr("10.0.0.1/8").error().message(), HasSubstr("write 10.0.0.0/8 or 10.0.0.1"));
  EXPECT_THAT(parse_cidr("2001:db8::1/32").error().message(), HasSubstr("write 2001:db8::/32 or 2001:db8::1"));
}

TEST(Cidr, ContainsExactlyItsAddresses) {
  EXPECT_TRUE(cidr("10.0.0.0/9").contains(ip("10.127.255.255")));
  EXPECT_FALSE(cidr("10.0.0.0/9").contains(ip("10.128.0.0")));
  EXPECT_TRUE(cidr("2001:db8::/33").contains(ip("2001:db8:7fff::1")));
  EXPECT_FALSE(cidr("2001:db8::/33").contains(ip("2001:db8:8000::")));
  EXPECT_TRUE(cidr("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
  EXPECT_FALSE(cidr("::/0").contains(ip("10.0.0.1"))) << "the families are apart";
  EXPECT_TRUE(cidr("10.0.0.0/8").covers(cidr("10.0.0.0/8")));
  EXPECT_TRUE(cidr("10.0.0.0/8").covers(cidr("10.2.0.0/16")));
  EXPECT_FALSE(cidr("10.2.0.0/16").covers(cidr("10.0.0.0/8")));
}

TEST(Cidr, ReadsAFileAndNamesItsFirstBadLine) {
  const Result<std::vector<Cidr>> good =
      parse_cidr_lines("# ours\n10.0.0.0/8  # office\r\n\n  2001:db8::/32\n192.0.2.1");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->size(), 3U);
  const Result<std::vector<Cidr>> bad = parse_cidr_lines("10.0.0.0/8\nx\ny\n");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message(), HasSubstr("line 2: address range 'x'"));
  EXPECT_THAT(bad.error().message(), HasSubstr("1 more"));
}

TEST(CidrSet, FindsTheLongest) {
  const CidrSet set(
      {cidr("10.0.0.0/8"), cidr("10.1.0.0/16"), cidr("10.1.2.0/24"), cidr("::/0"), cidr("2001:db8::/32")});
  EXPECT_EQ(set.longest_match(ip("10.1.2.3")), 2U);
  EXPECT_EQ(set.longest_match(ip("10.1.3.0")), 1U);
  EXPECT_EQ(set.longest_match(ip("10.255.255.255")), 0U);
  EXPECT_EQ(set.longest_match(ip("11.0.0.0")), std::nullopt);
  EXPECT_EQ(set.longest_match(ip("9.255.255.255")), std::nullopt);
  EXPECT_EQ(set.longest_match(ip("2001:db8:ffff::")), 4U);
  EXPECT_EQ(set.longest_match(ip("ffff:ffff::")), 3U);
  EXPECT_FALSE(CidrSet().contains(ip("10.0.0.1")));
}

TEST(CidrSet, KnowsTheEndsOfTheAddressSpace) {
  const CidrSet set({cidr("255.255.255.255"), cidr("0.0.0.0"), cidr("ffff::/16"), cidr("::/128")});
  EXPECT_EQ(set.longest_match(ip("255.255.255.255")), 0U);
  EXPECT_EQ(set.longest_match(ip("255.255.255.254")), std::nullopt);
  EXPECT_EQ(set.longest_match(ip("0.0.0.0")), 1U);
  EXPECT_EQ(set.longest_match(ip("0.0.0.1")), std::nullopt);
  EXPECT_EQ(set.longest_match(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), 2U);
  EXPECT_EQ(set.longest_match(ip("::")), 3U);
  EXPECT_EQ(set.longest_match(ip("::1")), std::nullopt);
}

// Against the definition: look at every range. Few distinct first bits, so that ranges lie inside and beside each other.
TEST(CidrSet, AgreesWithALookAtEveryRange) {
  std::mt19937_64 random(random_seed());
  const auto address = [&random] {
    const auto word = static_cast<std::uint32_t>(random());
    if (random() % 2 == 0) return IpAddress::v4(word & 0xc0e00301U);
    std::array<std::uint8_t, 16> bytes{};
    for (const std::size_t i : {0, 3, 4, 7, 8, 15}) bytes[i] = static_cast<std::uint8_t>(random() & 0x81);
    return IpAddress::v6(bytes);
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Cidr> ranges;
    for (std::uint64_t i = random() % 40; i > 0; --i) {
      const IpAddress base = address();
      const auto bits = static_cast<unsigned>(random() % (base.is_v6() ? 129 : 33));
      ranges.push_back({masked(base, bits), bits});
    }
    const CidrSet set(ranges);
    for (int i = 0; i < 200; ++i) {
      const IpAddress wanted = address();
      std::optional<std::uint32_t> longest;
      for (std::uint32_t r = 0; r < ranges.size(); ++r) {
        if (ranges[r].contains(wanted) && (!longest || ranges[r].bits >= ranges[*longest].bits)) longest = r;
      }
      ASSERT_EQ(set.longest_match(wanted), longest) << wanted.text();
    }
  }
}

TEST(CidrSet, HoldsAHundredThousandRangesInAFewMegabytes) {
  std::mt19937 random(7);
  std::vector<Cidr> v4, v6;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const unsigned bits = 16 + random() % 17;
    v4.push_back({masked(IpAddress::v4(random()), bits), bits});
    std::array<std::uint8_t, 16> bytes{0x20, 0x01};
    for (std::size_t b = 2; b < 8; ++b) bytes[b] = static_cast<std::uint8_t>(random());
    v6.push_back({masked(IpAddress::v6(bytes), 32 + bits), 32 + bits});
  }
  EXPECT_LE(CidrSet(v4).bytes(), 1'600'016U);
  EXPECT_LE(CidrSet(v6).bytes(), 4'000'040U);
}

}  // namespace
}  // namespace holdfast
