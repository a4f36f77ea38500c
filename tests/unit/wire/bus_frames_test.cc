#include "wire/bus_frames.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"
#include "wire/base64.h"

namespace holdfast {
namespace {

using Bytes = std::vector<std::byte>;

Bytes frame_of(const std::vector<Bytes>& records) {
  std::size_t size = 0;
  for (const Bytes& record : records) size += record.size();
  const hf_frame_header header = bus_messages_header(records.size(), size);
  Bytes frame(sizeof header);
  std::memcpy(frame.data(), &header, sizeof header);
  for (const Bytes& record : records) frame.insert(frame.end(), record.begin(), record.end());
  return frame;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(BusFrames, MessagesAreReadBackAsTheyWereWritten) {
  const Bytes frame =
      frame_of({encode_bus_record({HF_BUS_PUBLISH, "a.b", "", "hello"}, {.publisher = 7, .sequence = 9}),
                encode_bus_record({HF_BUS_CALL, "main", "key", ""}, {.status = 50, .call = 3})});
  const Result<BusFrame> decoded = decode_bus_frame(frame);
  ASSERT_TRUE(decoded) << decoded.error().message();
  const auto& records = std::get<BusMessages>(*decoded).records;
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].name, "a.b");
  EXPECT_EQ(text_of(records[0].data), "hello");
  EXPECT_EQ(records[1].kind, HF_BUS_CALL);
  EXPECT_EQ(records[1].key, "key");
  EXPECT_EQ(records[1].status, 50);
  EXPECT_EQ(records[1].call, 3u);
}

TEST(BusFrames, AStampChangesNothingElse) {
  Bytes record = encode_bus_record({HF_BUS_PUBLISH, "a", "", "data"}, {});
  stamp(record, {.publisher = 1, .status = -5, .sequence = 2, .call = 3, .node = 4});
  EXPECT_EQ(record, encode_bus_record({HF_BUS_PUBLISH, "a", "", "data"},
                                      {.publisher = 1, .status = -5, .sequence = 2, .call = 3, .node = 4}));
}

// Every byte of a good frame, in turn, becomes something else: it is refused or read, and nothing is read outside of it.
TEST(BusFrames, AreReadOrRefusedWhateverTheBytes) {
  const Bytes good = frame_of({encode_bus_record({HF_BUS_PUBLISH, "a.b", "", "hello"}, {}),
                               encode_bus_record({HF_BUS_SEND, "main", "k", "x"}, {})});
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  unsigned refused = 0;
  for (std::size_t at = 0; at < good.size(); at++) {
    for (int i = 0; i < 40; i++) {
      Bytes bad = good;
      bad[at] = static_cast<std::byte>(random());
      if (random() % 4 == 0) bad.resize(random() % (bad.size() + 1));
      const Bytes exact(bad.begin(), bad.end());  // so that a sanitizer sees a read past its end
      refused += decode_bus_frame(exact) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100u);
}

TEST(BusFrames, ATopicOrAPatternThatIsNoneIsRefused) {
  EXPECT_FALSE(decode_bus_frame(frame_of({encode_bus_record({HF_BUS_PUBLISH, "a..b", "", ""}, {})})));
  EXPECT_FALSE(decode_bus_frame(frame_of({encode_bus_record({HF_BUS_PUBLISH, "a.*", "", ""}, {})})));
  EXPECT_TRUE(decode_bus_frame(frame_of({encode_bus_record({HF_BUS_SEND, "any pool", "any key", ""}, {})})));
}

// Each would cost a descriptor, for what a frame has room for.
TEST(BusFrames, ASmallMessageInMemoryOfItsOwnIsRefused) {
  for (const auto& [size, fits] : std::vector<std::pair<std::uint32_t, bool>>{
           {1, false}, {HF_BUS_MAX_INLINE, false}, {HF_BUS_MAX_INLINE + 1, true}, {HF_BUS_MAX_MESSAGE + 1, false}}) {
    Bytes record = encode_bus_record({HF_BUS_PUBLISH, "a", "", ""}, {});
    hf_bus_record raw{};
    std::memcpy(&raw, record.data(), sizeof raw);
    raw.flags = HF_BUS_LARGE;
    raw.size = size;
    std::memcpy(record.data(), &raw, sizeof raw);
    EXPECT_EQ(decode_bus_frame(frame_of({record})).has_value(), fits) << size;
  }
}

TEST(BusFrames, ManyPoolsTakeSeveralFrames) {
  std::vector<BusPool> pools;
  for (int i = 0; i < 450; i++) pools.push_back({std::string(64, 'p'), 0, std::vector<bool>(256, true)});
  const std::vector<Bytes> frames = encode_bus_members(pools);
  EXPECT_EQ(frames.size(), 3u);
  for (const Bytes& frame : frames) EXPECT_LE(frame.size(), HF_BUS_MAX_FRAME);
}

TEST(Base64, IsThatOfTheRfc) {
  for (const auto& [plain, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe", "//4="}}) {
    EXPECT_EQ(to_base64(plain), text);
    EXPECT_EQ(from_base64(text), plain);
  }
  for (const char* bad : {"Zg=", "Z===", "Zg=a", "Z!==", "=Zg="}) EXPECT_FALSE(from_base64(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
