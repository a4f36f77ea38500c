#include "core/placement_key.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "core/bucket_table.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

struct Golden {
  const char* address;
  KeyPrefix prefix;
  HashKey key;
  std::uint32_t hash;
  unsigned bucket;
};

// Computed by a second program from the words of placement_key.h. A change here moves the clients of every
// installation.
constexpr Golden kGolden[] = {
    {"192.0.2.1", {32, 64}, {0x00000000, 0x00000000}, 0xd7423d9e, 430},
    {"192.0.2.1", {32, 64}, {0x01234567, 0x89abcdef}, 0x38742f2b, 112},
    {"0.0.0.0", {32, 64}, {0x00000000, 0x00000000}, 0x00000000, 0},
    {"255.255.255.255", {32, 64}, {0x01234567, 0x89abcdef}, 0xac608b41, 344},
    {"192.0.2.77", {24, 64}, {0x01234567, 0x89abcdef}, 0x0be6f7c4, 23},
    {"192.0.2.0", {24, 64}, {0x01234567, 0x89abcdef}, 0x0be6f7c4, 23},
    {"203.0.113.9", {0, 64}, {0x01234567, 0x89abcdef}, 0x9ecdf954, 317},
    {"10.1.2.3", {9, 64}, {0xdeadbeef, 0x00000000}, 0xbc1fc9de, 376},
    {"::ffff:192.0.2.1", {32, 64}, {0x01234567, 0x89abcdef}, 0x38742f2b, 112},
    {"2001:db8::1", {32, 64}, {0x00000000, 0x00000000}, 0x19fcf94e, 51},
    {"2001:db8::1", {32, 64}, {0x01234567, 0x89abcdef}, 0x098a915d, 19},
    {"2001:db8::ffff", {32, 64}, {0x01234567, 0x89abcdef}, 0x098a915d, 19},
    {"2001:db8::1", {32, 128}, {0x01234567, 0x89abcdef}, 0x16725575, 44},
    {"2001:db8:1:2:3:4:5:6", {32, 56}, {0x01234567, 0x89abcdef}, 0x29068844, 82},
    {"2001:db8:1:2:3:4:5:6", {32, 48}, {0x01234567, 0x89abcdef}, 0x29068844, 82},
    {"2001:db8:1:2:3:4:5:6", {32, 32}, {0x01234567, 0x89abcdef}, 0xf0620bea, 480},
    {"2001:db8:1:2:3:4:5:6", {32, 0}, {0x01234567, 0x89abcdef}, 0x89abcdef, 275},
    {"2001:db8:1:2:3:4:5:6", {32, 65}, {0x01234567, 0x89abcdef}, 0x81cf81f9, 259},
    {"2001:db8:1:2:8000:4:5:6", {32, 65}, {0x01234567, 0x89abcdef}, 0x08d4555e, 17},
    {"::1", {32, 128}, {0xdeadbeef, 0xcafef00d}, 0x5957d696, 178},
    {"::", {32, 64}, {0x00000001, 0x00000002}, 0xb5d455e1, 363},
};

IpAddress address_of(const char* text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress());
}

TEST(PlacementKey, HashesAsTheGoldenTableSays) {
  for (const Golden& golden : kGolden) {
    const std::uint32_t hash = hash_address(address_of(golden.address), golden.prefix, golden.key);
    EXPECT_EQ(hash, golden.hash) << golden.address << '/' << golden.prefix.v4 << '/' << golden.prefix.v6;
    EXPECT_EQ(bucket_of(hash), golden.bucket) << golden.address;
  }
}

constexpr HashKey kKey{0x01234567, 0x89abcdef};

std::uint32_t hash_of(const char* address, KeyPrefix prefix) { return hash_address(address_of(address), prefix, kKey); }

TEST(PlacementKey, MakesOneClientOfAMappedAddressAndItsIpv4) {
  EXPECT_EQ(hash_of("::ffff:198.51.100.7", {}), hash_of("198.51.100.7", {}));
}

TEST(PlacementKey, MakesOneClientOfAnIpv6Slash64) {
  EXPECT_EQ(hash_of("2001:db8:1:2::1", {}), hash_of("2001:db8:1:2:ffff:ffff:ffff:ffff", {}));
  EXPECT_NE(hash_of("2001:db8:1:2::1", {}), hash_of("2001:db8:1:3::1", {}));
}

TEST(PlacementKey, CutsAtEveryPrefixLength) {
  const IpAddress v4 = IpAddress::v4(0xa5a5a5a5);
  for (unsigned length = 1; length <= 32; ++length) {
    const std::uint32_t last_inside = 1U << (32 - length);
    const KeyPrefix prefix{.v4 = length, .v6 = 64};
    EXPECT_NE(hash_address(v4, prefix, kKey), hash_address(IpAddress::v4(v4.word(0) ^ last_inside), prefix, kKey))
        << length;
    if (length == 32) continue;
    EXPECT_EQ(hash_address(v4, prefix, kKey), hash_address(IpAddress::v4(v4.word(0) ^ last_inside >> 1), prefix, kKey))
        << length;
  }
  std::array<std::uint8_t, 16> bytes{};
  bytes.fill(0xa5);
  for (unsigned length = 1; length <= 128; ++length) {
    const KeyPrefix prefix{.v4 = 32, .v6 = length};
    const std::uint32_t hash = hash_address(IpAddress::v6(bytes), prefix, kKey);
    const auto flipped = [&bytes](unsigned bit) {
      std::array<std::uint8_t, 16> other = bytes;
      other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ 0x80 >> bit % 8);
      return IpAddress::v6(other);
    };
    EXPECT_NE(hash, hash_address(flipped(length - 1), prefix, kKey)) << length;
    if (length == 128) continue;
    EXPECT_EQ(hash, hash_address(flipped(length), prefix, kKey)) << length;
  }
}

TEST(PlacementKey, ATooLongPrefixIsTheWholeAddress) {
  EXPECT_EQ(hash_of("192.0.2.1", {.v4 = 99, .v6 = 64}), hash_of("192.0.2.1", {}));
  EXPECT_EQ(hash_of("2001:db8::1", {.v4 = 32, .v6 = 999}), hash_of("2001:db8::1", {.v4 = 32, .v6 = 128}));
}

TEST(PlacementKey, EveryBitOfTheAddressAndOfTheKeyChangesHalfOfTheHash) {
  std::mt19937_64 random(random_seed());
  constexpr unsigned kSamples = 4000;
  for (unsigned bit = 0; bit < 32; ++bit) {
    unsigned changed_by_address = 0;
    unsigned changed_by_key = 0;
    for (unsigned i = 0; i < kSamples; ++i) {
      const auto word = static_cast<std::uint32_t>(random());
      const HashKey key{static_cast<std::uint32_t>(random()), 0};
      const std::uint32_t hash = hash_address(IpAddress::v4(word), {}, key);
      changed_by_address +=
          static_cast<unsigned>(std::popcount(hash ^ hash_address(IpAddress::v4(word ^ 1U << bit), {}, key)));
      changed_by_key +=
          static_cast<unsigned>(std::popcount(hash ^ hash_address(IpAddress::v4(word), {}, {key.a ^ 1U << bit, 0})));
    }
    EXPECT_NEAR(changed_by_address / double{kSamples}, 16, 1) << bit;
    EXPECT_NEAR(changed_by_key / double{kSamples}, 16, 1) << bit;
  }
}

// Pearson's statistic of 64 Ki hashes over the buckets. With 511 degrees of freedom it has mean 511 and deviation 32:
// 700 is six deviations away, so with fixed keys only a bad hash fails.
constexpr unsigned kAddresses = 1U << 16;
constexpr double kChiSquareLimit = 700;

template <class AddressAt>
void expect_even_buckets(AddressAt address_at) {
  std::mt19937 keys(1);
  for (int i = 0; i < 16; ++i) {
    const HashKey key{static_cast<std::uint32_t>(keys()), static_cast<std::uint32_t>(keys())};
    std::array<unsigned, kBuckets> count{};
    for (std::uint32_t n = 0; n < kAddresses; ++n) ++count[bucket_of(hash_address(address_at(n), {}, key))];
    double chi_square = 0;
    constexpr double kExpected = kAddresses / double{kBuckets};
    for (const unsigned observed : count) chi_square += (observed - kExpected) * (observed - kExpected) / kExpected;
    EXPECT_LT(chi_square, kChiSquareLimit) << std::hex << key.a << ' ' << key.b;
  }
}

IpAddress v6_of(std::uint32_t word0, std::uint32_t word1) {
  std::array<std::uint8_t, 16> bytes{};
  for (unsigned i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>(word0 >> (24 - 8 * i));
    bytes[4 + i] = static_cast<std::uint8_t>(word1 >> (24 - 8 * i));
  }
  bytes[15] = 1;
  return IpAddress::v6(bytes);
}

TEST(PlacementKey, SpreadsNeighbouringIpv4AddressesEvenly) {
  expect_even_buckets([](std::uint32_t n) { return IpAddress::v4(0x0a000000U + n); });
}
TEST(PlacementKey, SpreadsOneAddressOfEachIpv4Slash24Evenly) {
  expect_even_buckets([](std::uint32_t n) { return IpAddress::v4(0x0a000001U + (n << 8)); });
}
TEST(PlacementKey, SpreadsNeighbouringIpv6Slash64sEvenly) {
  expect_even_buckets([](std::uint32_t n) { return v6_of(0x20010db8U, n); });
}
TEST(PlacementKey, SpreadsNeighbouringIpv6Slash48sEvenly) {
  expect_even_buckets([](std::uint32_t n) { return v6_of(0x20010db8U, n << 16); });
}
TEST(PlacementKey, SpreadsNeighbouringIpv6Slash32sEvenly) {
  expect_even_buckets([](std::uint32_t n) { return v6_of(0x20010000U + n, 0); });
}

// Computed by a second program from the words of placement_key.h.
TEST(PlacementKey, HashesTextAsTheGoldenTableSays) {
  constexpr HashKey kSecret{0x01234567, 0x89abcdef};
  EXPECT_EQ(hash_text("", kSecret), 0x1d6ef8aeU);
  EXPECT_EQ(hash_text("a", kSecret), 0x55868112U);
  EXPECT_EQ(hash_text("abcd", kSecret), 0x407ac013U);
  EXPECT_EQ(hash_text("f47ac10b-58cc-4372-a567-0e02b2c3d479", kSecret), 0x8d0bd76fU);
  EXPECT_EQ(hash_text("\xff\x80", kSecret), 0xbdcb0048U);
  EXPECT_NE(hash_text("a", kSecret), hash_text(std::string_view("a\0", 2), kSecret)) << "the length counts";
}

// Session ids and user numbers: every bucket gets its share.
TEST(PlacementKey, SpreadsTextsEvenly) {
  constexpr HashKey kSecret{0x01234567, 0x89abcdef};
  constexpr unsigned kTexts = 512 * 200;
  for (const std::string& prefix :
       {std::string(), std::string("user-"), std::string("session:00000000000000000000:")}) {
    std::array<unsigned, kBuckets> hits{};
    for (unsigned i = 0; i < kTexts; ++i) ++hits[bucket_of(hash_text(prefix + std::to_string(i), kSecret))];
    double chi_square = 0;
    for (const unsigned hit : hits) chi_square += (hit - 200.0) * (hit - 200.0) / 200.0;
    EXPECT_LT(chi_square, kChiSquareLimit) << prefix;
  }
}

}  // namespace
}  // namespace holdfast
