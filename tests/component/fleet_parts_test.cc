#include "bus/fleet_parts.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/descriptor_limit.h"

namespace holdfast {
namespace {

using std::chrono::seconds;

constexpr std::uint64_t kOak = 7;
constexpr std::uint64_t kElm = 9;
constexpr std::uint32_t kSize = 200'000;
const TimePoint kStart{seconds(1000)};

std::string text_of(std::uint32_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < text.size(); i++) text[i] = static_cast<char>(i * 31 + i / 4096);
  return text;
}
const std::string kText = text_of(kSize);

FleetMessage part_at(std::uint64_t node, std::uint32_t offset, std::uint64_t number = 1) {
  FleetMessage part{FleetMessage::Kind::Message, node, number, "a.b"};
  part.size = kSize;
  part.offset = offset;
  part.data = std::string_view(kText).substr(offset, 65'536);
  return part;
}

bool is_text(const SharedMemory& memory) {
  if (!memory.fd || !is_sealed_memory(*memory.fd, kSize)) return false;
  const Result<std::string> bytes = read_memory(*memory.fd, 0, kSize);
  return bytes && *bytes == kText;
}

// Offsets: how a message comes. What is whole then, if anything is.
std::optional<FleetParts::Whole> come(FleetParts& parts, const std::vector<std::uint32_t>& offsets) {
  std::optional<FleetParts::Whole> whole;
  for (const std::uint32_t offset : offsets) {
    EXPECT_FALSE(whole) << "before its last part";
    whole = parts.add(part_at(kOak, offset), kStart);
  }
  return whole;
}

TEST(FleetParts, AreWholeWithTheLastOne) {
  FleetParts parts;
  const auto whole = come(parts, {0, 65'536, 131'072, 196'608});
  ASSERT_TRUE(whole);
  EXPECT_TRUE(is_text(whole->memory));
  const auto head = decode_fleet_message(whole->head);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->topic, "a.b");
  EXPECT_EQ(head->size, kSize);
  EXPECT_EQ(parts.bytes(), 0u);
}

TEST(FleetParts, OfSeveralMachinesDoNotMix) {
  FleetParts parts;
  for (const std::uint32_t offset : {0U, 65'536U, 131'072U}) {
    EXPECT_FALSE(parts.add(part_at(kOak, offset), kStart));
    EXPECT_FALSE(parts.add(part_at(kElm, offset), kStart));
  }
  for (const std::uint64_t node : {kOak, kElm}) {
    const auto whole = parts.add(part_at(node, 196'608), kStart);
    ASSERT_TRUE(whole);
    EXPECT_TRUE(is_text(whole->memory));
  }
}

TEST(FleetParts, ThatDoNotFollowEachOtherAreNeverWhole) {
  FleetParts parts;
  EXPECT_FALSE(come(parts, {65'536, 131'072, 196'608})) << "its beginning was not heard";
  EXPECT_FALSE(come(parts, {0, 65'536, 196'608})) << "one is missing";
  EXPECT_FALSE(come(parts, {0, 65'536, 65'536, 131'072, 196'608})) << "one comes twice";
  EXPECT_EQ(parts.bytes(), 0u);
  EXPECT_TRUE(come(parts, {0, 65'536, 0, 65'536, 131'072, 196'608})) << "it begins anew";
}

TEST(FleetParts, OfDifferentMessagesAreNotPutTogether) {
  const auto spoil = [](auto change) {
    FleetParts parts;
    EXPECT_FALSE(parts.add(part_at(kOak, 0), kStart));
    EXPECT_FALSE(parts.add(part_at(kOak, 65'536), kStart));
    FleetMessage other = part_at(kOak, 131'072);
    change(other);
    EXPECT_FALSE(parts.add(other, kStart));
    EXPECT_FALSE(parts.add(part_at(kOak, 196'608), kStart));
    EXPECT_EQ(parts.bytes(), 0u);
  };
  spoil([](FleetMessage& part) { part.size = 131'072 + 65'536; });  // which would be its end
  spoil([](FleetMessage& part) { part.sequence = 2; });
  spoil([](FleetMessage& part) { part.topic = "a.c"; });
  spoil([](FleetMessage& part) { part.kind = FleetMessage::Kind::Send; });
}

TEST(FleetParts, WhatIsGivenUpKeepsNoMemory) {
  FleetParts parts;
  const unsigned before = test::open_descriptors();
  EXPECT_FALSE(parts.add(part_at(kOak, 0), kStart));
  EXPECT_FALSE(parts.add(part_at(kElm, 0), kStart + seconds(5)));
  EXPECT_EQ(parts.bytes(), 131'072u);
  parts.forget_the_silent(kStart + seconds(1));
  EXPECT_EQ(parts.bytes(), 65'536u);
  parts.forget_the_silent(kStart + seconds(6));
  EXPECT_EQ(parts.bytes(), 0u);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(FleetParts, AreBoundedHoweverManyMachinesBegin) {
  FleetParts parts;
  for (std::uint64_t node = 1; node <= FleetParts::kMaxMessages + 1; node++) {
    EXPECT_FALSE(parts.add(part_at(node, 0), kStart + seconds(node)));
  }
  EXPECT_EQ(parts.bytes(), FleetParts::kMaxMessages * 65'536);
  EXPECT_FALSE(parts.add(part_at(1, 65'536), kStart + seconds(100)));
  EXPECT_FALSE(parts.add(part_at(1, 131'072), kStart + seconds(100)));
  EXPECT_FALSE(parts.add(part_at(1, 196'608), kStart + seconds(100))) << "it was silent longest";
  for (const std::uint32_t offset : {65'536U, 131'072U}) EXPECT_FALSE(parts.add(part_at(2, offset), kStart));
  EXPECT_TRUE(parts.add(part_at(2, 196'608), kStart)) << "all others are there";
}

TEST(FleetParts, AreBoundedByTheirBytes) {
  constexpr std::uint32_t kLargest = std::uint32_t{64} << 20;
  FleetParts parts;
  for (std::uint64_t node = 1; node <= 5; node++) {
    FleetMessage part{FleetMessage::Kind::Message, node, 1, "a.b", std::string_view(kText).substr(0, 65'536)};
    part.size = kLargest;
    for (; part.offset < kLargest - 65'536; part.offset += 65'536) {
      EXPECT_FALSE(parts.add(part, kStart + seconds(node)));
      EXPECT_LE(parts.bytes(), FleetParts::kMaxBytes);
    }
  }
  EXPECT_GT(parts.bytes(), FleetParts::kMaxBytes / 2);
}

TEST(FleetParts, WithoutADescriptorAMessageIsWholeAndHasNoMemory) {
  FleetParts parts;
  const auto whole = [&] {
    const test::NoDescriptors none;
    EXPECT_FALSE(parts.add(part_at(kOak, 0), kStart));
    return come(parts, {65'536, 131'072, 196'608});
  }();
  ASSERT_TRUE(whole);
  EXPECT_FALSE(whole->memory.fd);
  EXPECT_EQ(whole->memory.size, kSize);
}

}  // namespace
}  // namespace holdfast
