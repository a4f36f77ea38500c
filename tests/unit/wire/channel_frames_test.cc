#include "wire/channel_frames.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes from_hex(std::initializer_list<unsigned> values) {
  Bytes bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// A frame whose length is right, with `body` after the header.
Bytes frame(unsigned type, const Bytes& body = {}, unsigned count = 0) {
  const hf_frame_header header{static_cast<std::uint16_t>(type), static_cast<std::uint16_t>(count),
                               static_cast<std::uint32_t>(sizeof(hf_frame_header) + body.size())};
  Bytes bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

// The last `excess` bytes of a frame are taken away, and its length is made right again.
Bytes shortened(const Bytes& bytes, std::size_t excess) {
  const auto type = std::to_integer<unsigned>(bytes[0]);
  const auto count = std::to_integer<unsigned>(bytes[2]);
  return frame(type, Bytes(bytes.begin() + sizeof(hf_frame_header), bytes.end() - static_cast<std::ptrdiff_t>(excess)),
               count);
}

Bytes with_record_length(Bytes bytes, std::size_t record_at, std::uint16_t length) {
  std::memcpy(bytes.data() + record_at, &length, sizeof length);
  return bytes;
}

// The examples of PROTOCOL.md.
const Bytes kConnections = from_hex({
    0x01, 0x00, 0x01, 0x00, 0x50, 0x00, 0x00, 0x00,                                                  // header
    0x48, 0x00, 0x00, 0x00, 0x04, 0x00, 0x2c, 0x01, 0xe9, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // to id
    0x00, 0xf2, 0x05, 0x2a, 0x01, 0x00, 0x00, 0x00,                                                  // accepted
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xc0, 0x00, 0x02, 0x07,  // remote
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xc6, 0x33, 0x64, 0x01,  // local
    0x40, 0x9c, 0x90, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // ports
});
const Bytes kDrain = from_hex({0x02, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x79, 0xdf, 0x0d, 0x86,
                               0x48, 0x70, 0x00, 0x00, 0x00, 0xe4, 0x0b, 0x54, 0x02, 0x00, 0x00, 0x00});
const Bytes kHello = from_hex({0x40, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
                               0x01, 0x00, 0x00, 0x00, 0x67, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});
const Bytes kReady = from_hex({0x41, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00});
const Bytes kTaken =
    from_hex({0x42, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});
const Bytes kClosed =
    from_hex({0x43, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});
const Bytes kHeartbeat = from_hex({0x44, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00});
const Bytes kLost =
    from_hex({0x45, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});
const Bytes kDrained = from_hex({0x46, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00});
const Bytes kAccepted =
    from_hex({0x47, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00});

// The record of kConnections.
ConnectionRecord example_record() {
  ConnectionRecord record{};
  record.record_length = sizeof record;
  record.family = HF_FAMILY_IPV4;
  record.bucket = 300;
  record.id = 1001;
  record.accepted_ns = 5'000'000'000;
  constexpr std::array<std::uint8_t, 16> kRemote = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
  constexpr std::array<std::uint8_t, 16> kLocal = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1};
  std::copy(kRemote.begin(), kRemote.end(), std::begin(record.remote));
  std::copy(kLocal.begin(), kLocal.end(), std::begin(record.local));
  record.remote_port = 40000;
  record.local_port = 8080;
  return record;
}

std::vector<ConnectionRecord> records_with_ids(std::size_t count) {
  std::vector<ConnectionRecord> records(count, example_record());
  for (std::size_t i = 0; i < count; ++i) records[i].id = 1 + i;
  return records;
}

std::vector<std::uint64_t> ids(const std::vector<ConnectionRecord>& records) {
  std::vector<std::uint64_t> ids;
  for (const ConnectionRecord& record : records) ids.push_back(record.id);
  return ids;
}

// What a well-formed frame of type T says.
template <class T>
T decoded(const Bytes& bytes) {
  const Result<WorkerFrame> frame = decode_worker_frame(bytes);
  if (!frame) {
    ADD_FAILURE() << frame.error().message();
    return T{};
  }
  const T* const value = std::get_if<T>(&*frame);
  if (value == nullptr) {
    ADD_FAILURE() << "another frame: alternative " << frame->index();
    return T{};
  }
  return *value;
}

// Why a frame is refused; empty if it is not.
std::string refusal(const Bytes& bytes) {
  const Result<WorkerFrame> frame = decode_worker_frame(bytes);
  return frame ? "" : frame.error().message();
}
std::string records_refusal(const Bytes& bytes) {
  const Result<std::vector<ConnectionRecord>> records = decode_connections(bytes);
  return records ? "" : records.error().message();
}

TEST(ChannelFrames, AConnectionHasTheBytesOfTheProtocol) {
  EXPECT_EQ(encode_connections(std::vector{example_record()}), kConnections);
}

TEST(ChannelFrames, AConnectionIsReadBackAsItWasWritten) {
  const Result<std::vector<ConnectionRecord>> records = decode_connections(kConnections);
  ASSERT_TRUE(records) << records.error().message();
  ASSERT_EQ(records->size(), 1U);
  const ConnectionRecord expected = example_record();
  EXPECT_EQ(std::memcmp(records->data(), &expected, sizeof expected), 0);
}

TEST(ChannelFrames, AFullBatchKeepsItsOrderAndFitsAFrame) {
  const std::vector<ConnectionRecord> batch = records_with_ids(HF_MAX_BATCH);
  const Bytes bytes = encode_connections(batch);
  EXPECT_EQ(bytes.size(), 8 + 64 * 72U);
  EXPECT_LE(bytes.size(), HF_MAX_FRAME);
  const Result<std::vector<ConnectionRecord>> records = decode_connections(bytes);
  ASSERT_TRUE(records) << records.error().message();
  EXPECT_EQ(ids(*records), ids(batch));
}

TEST(ChannelFrames, AnEmptyBatchIsAHeader) {
  EXPECT_EQ(encode_connections({}), frame(HF_FRAME_CONNECTIONS));
  const Result<std::vector<ConnectionRecord>> records = decode_connections(frame(HF_FRAME_CONNECTIONS));
  ASSERT_TRUE(records) << records.error().message();
  EXPECT_TRUE(records->empty());
}

TEST(ChannelFrames, DrainHasTheBytesOfTheProtocol) {
  EXPECT_EQ(encode_drain({TimePoint(Duration(123456789012345)), std::chrono::seconds(10)}), kDrain);
}

TEST(ChannelFrames, HelloSaysTheVersionAndWhatTheWorkerUses) {
  const auto hello = decoded<HelloFrame>(kHello);
  EXPECT_EQ(hello.version, 1U);
  EXPECT_TRUE(hello.uses_page);
  EXPECT_FALSE(hello.serves_sockets);

  Bytes newer = kHello;
  newer[8] = std::byte{7};      // version
  newer[12] = std::byte{0xfe};  // every flag of the lowest byte but HF_HELLO_PAGE
  EXPECT_EQ(decoded<HelloFrame>(newer).version, 7U);
  EXPECT_FALSE(decoded<HelloFrame>(newer).uses_page);
  EXPECT_TRUE(decoded<HelloFrame>(newer).serves_sockets);
  newer[12] = std::byte{0xfd};  // and every one but HF_HELLO_SOCKETS
  EXPECT_FALSE(decoded<HelloFrame>(newer).serves_sockets);
}

TEST(ChannelFrames, TheNumbersOfAWorkerAreRead) {
  EXPECT_EQ(decoded<TakenFrame>(kTaken).connections, 64U);
  EXPECT_EQ(decoded<ClosedFrame>(kClosed).connections, 1U);
  EXPECT_EQ(decoded<LostFrame>(kLost).descriptors, 6U);
  EXPECT_EQ(decoded<AcceptedFrame>(kAccepted).connections, 3U);
}

TEST(ChannelFrames, ANumberHasSixtyFourBits) {
  const Bytes body = from_hex({0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0xf1});
  EXPECT_EQ(decoded<TakenFrame>(frame(HF_FRAME_TAKEN, body)).connections, 0xf122334455667788U);
}

TEST(ChannelFrames, FramesThatAreOnlyAHeaderAreRead) {
  (void)decoded<ReadyFrame>(kReady);
  (void)decoded<HeartbeatFrame>(kHeartbeat);
  (void)decoded<DrainedFrame>(kDrained);
}

TEST(ChannelFrames, BytesBeyondWhatIsKnownOfAFrameAreIgnored) {
  const Bytes more(24, std::byte{0xaa});
  (void)decoded<ReadyFrame>(frame(HF_FRAME_READY, more));
  Bytes number(8);
  number[0] = std::byte{5};
  number.insert(number.end(), more.begin(), more.end());
  EXPECT_EQ(decoded<ClosedFrame>(frame(HF_FRAME_CLOSED, number)).connections, 5U);
}

TEST(ChannelFrames, TypesOfANewerWorkerAreUnknownAndNoError) {
  for (const unsigned type : {72U, 73U, 255U, 256U, 65535U}) EXPECT_EQ(decoded<UnknownFrame>(frame(type)).type, type);
}

TEST(ChannelFrames, ASupervisorsTypeFromAWorkerIsRefused) {
  for (unsigned type = 0; type < HF_FRAME_HELLO; ++type) {
    EXPECT_THAT(refusal(frame(type)), HasSubstr("type " + std::to_string(type) + " is not a worker's"));
  }
  EXPECT_NE(refusal(kConnections), "");
  EXPECT_NE(refusal(kDrain), "");
}

TEST(ChannelFrames, AMessageShorterThanAHeaderIsRefused) {
  for (std::size_t size = 0; size < kReady.size(); ++size) {
    const Bytes bytes(kReady.begin(), kReady.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string why = std::to_string(size) + " bytes, less than a header";
    EXPECT_THAT(refusal(bytes), HasSubstr(why));
    EXPECT_THAT(records_refusal(bytes), HasSubstr(why));
  }
}

TEST(ChannelFrames, ALengthThatIsNotTheMessagesIsRefused) {
  for (const unsigned length : {0U, 7U, 9U, 80U, 0xffU}) {
    Bytes bytes = kReady;
    bytes[4] = static_cast<std::byte>(length);
    EXPECT_THAT(refusal(bytes), HasSubstr("length says " + std::to_string(length) + ", the message has 8"));
  }
  Bytes high = kReady;
  high[7] = std::byte{1};  // the length is 2^24 + 8: its upper bytes count
  EXPECT_NE(refusal(high), "");
  Bytes longer = kConnections;
  longer.push_back(std::byte{0});
  EXPECT_THAT(records_refusal(longer), HasSubstr("length says 80, the message has 81"));
}

TEST(ChannelFrames, AFrameThatEndsBeforeItsNumberIsRefused) {
  for (const Bytes& whole : {kTaken, kClosed, kLost, kAccepted}) {
    for (std::size_t missing = 1; missing <= 8; ++missing) {
      EXPECT_THAT(refusal(shortened(whole, missing)), HasSubstr("a number is missing")) << missing;
    }
  }
}

TEST(ChannelFrames, AHelloThatIsCutOffIsRefused) {
  for (std::size_t missing = 1; missing <= 16; ++missing) {
    EXPECT_THAT(refusal(shortened(kHello, missing)), HasSubstr("HELLO is too short")) << missing;
  }
}

TEST(ChannelFrames, OtherFramesHoldNoConnectionsWhateverTheirCountSays) {
  const Bytes record(kConnections.begin() + sizeof(hf_frame_header), kConnections.end());
  for (const unsigned type : {HF_FRAME_DRAIN, HF_FRAME_HELLO, HF_FRAME_READY, 257U}) {
    const Result<std::vector<ConnectionRecord>> records = decode_connections(frame(type, record, 1));
    ASSERT_TRUE(records) << records.error().message();
    EXPECT_TRUE(records->empty()) << type;
  }
}

TEST(ChannelFrames, ARecordThatIsCutOffIsRefused) {
  for (std::size_t missing = 1; missing <= sizeof(ConnectionRecord); ++missing) {
    EXPECT_THAT(records_refusal(shortened(kConnections, missing)), HasSubstr("a record is cut off")) << missing;
  }
}

TEST(ChannelFrames, ACountBeyondTheRecordsIsRefused) {
  Bytes bytes = encode_connections(records_with_ids(2));
  bytes[2] = std::byte{3};
  EXPECT_THAT(records_refusal(bytes), HasSubstr("a record is cut off"));
  bytes[3] = std::byte{0xff};
  EXPECT_THAT(records_refusal(bytes), HasSubstr("a record is cut off"));
}

TEST(ChannelFrames, ARecordLengthBelowOursIsRefused) {
  // Zero would read the same record for ever, one that is too small would read the middle of another.
  for (const std::uint16_t length : {0, 1, 8, 64, 71}) {
    EXPECT_THAT(records_refusal(with_record_length(kConnections, 8, length)), HasSubstr("record's length is wrong"))
        << length;
  }
}

TEST(ChannelFrames, ARecordLengthBeyondTheEndIsRefused) {
  for (const std::uint16_t length : {73, 80, 8192, 65535}) {
    EXPECT_THAT(records_refusal(with_record_length(kConnections, 8, length)), HasSubstr("record's length is wrong"))
        << length;
  }
  const Bytes two = encode_connections(records_with_ids(2));
  EXPECT_THAT(records_refusal(with_record_length(two, 8 + 72, 73)), HasSubstr("record's length is wrong"));
  // The first reaches into the second, of which too little is left.
  EXPECT_THAT(records_refusal(with_record_length(two, 8, 80)), HasSubstr("a record is cut off"));
}

TEST(ChannelFrames, WhatALongerRecordHasMoreThanOursIsSkipped) {
  Bytes body;
  for (ConnectionRecord record : records_with_ids(3)) {
    record.record_length = sizeof record + 16;
    Bytes bytes(sizeof record + 16, std::byte{0xaa});
    std::memcpy(bytes.data(), &record, sizeof record);
    body.insert(body.end(), bytes.begin(), bytes.end());
  }
  const Result<std::vector<ConnectionRecord>> records = decode_connections(frame(HF_FRAME_CONNECTIONS, body, 3));
  ASSERT_TRUE(records) << records.error().message();
  EXPECT_THAT(ids(*records), testing::ElementsAre(1, 2, 3));
}

// The bytes are exactly as long as their allocation, so that a sanitizer sees a read beyond them.
TEST(ChannelFrames, RandomBytesAndRandomChangesOfFramesGetAnAnswer) {
  const std::vector<Bytes> frames = {kConnections,
                                     kDrain,
                                     kHello,
                                     kReady,
                                     kTaken,
                                     kClosed,
                                     kHeartbeat,
                                     kLost,
                                     kDrained,
                                     kAccepted,
                                     encode_connections(records_with_ids(3))};
  std::mt19937_64 random(random_seed());
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  unsigned understood = 0;
  unsigned refused = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes;
    if (below(4) == 0) {
      bytes.resize(below(300));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    } else {
      bytes = frames[below(frames.size())];
      bytes.resize(below(3) == 0 ? below(bytes.size() + 80) : bytes.size());
      for (std::size_t change = below(4); change > 0 && !bytes.empty(); --change) {
        bytes[below(std::min(bytes.size(), below(2) == 0 ? std::size_t{12} : bytes.size()))] =
            static_cast<std::byte>(random());
      }
    }
    // A wrong length hides all that comes after it: mostly make it right.
    if (bytes.size() >= sizeof(hf_frame_header) && below(8) != 0) {
      const auto length = static_cast<std::uint32_t>(bytes.size());
      std::memcpy(bytes.data() + offsetof(hf_frame_header, length), &length, sizeof length);
    }
    bytes.shrink_to_fit();
    const Result<WorkerFrame> frame = decode_worker_frame(bytes);
    if (!frame) {
      ASSERT_THAT(frame.error().message(), HasSubstr("malformed frame: "));
    }
    const Result<std::vector<ConnectionRecord>> records = decode_connections(bytes);
    ++(frame || (records && !records->empty()) ? understood : refused);
    if (!records) continue;
    ASSERT_LE(records->size() * sizeof(ConnectionRecord), bytes.size());
    for (const ConnectionRecord& record : *records) ASSERT_GE(record.record_length, sizeof record);
  }
  EXPECT_GT(understood, 1000U);
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace holdfast
