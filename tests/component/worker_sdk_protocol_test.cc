// PROTOCOL.md is the contract for other languages: its bytes must be those of channel.h.
#include <gtest/gtest.h>
#include <holdfast/bus_channel.h>
#include <holdfast/channel.h>

#include <cctype>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "test_paths.h"

namespace holdfast::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

// The ```hex NAME blocks of the document.
std::map<std::string, Bytes> examples() {
  std::ifstream document(HOLDFAST_SOURCE "/worker-sdk/PROTOCOL.md");
  std::map<std::string, Bytes> found;
  std::string name;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("```hex ")) {
      name = line.substr(7);
    } else if (line.starts_with("```")) {
      name.clear();
    } else if (!name.empty()) {
      std::istringstream pairs(line);
      for (std::string pair; pairs >> pair;)
        found[name].push_back(static_cast<std::uint8_t>(std::stoi(pair, nullptr, 16)));
    }
  }
  return found;
}

template <class Frame>
Bytes bytes_of(const Frame& frame) {
  Bytes bytes(sizeof frame);
  std::memcpy(bytes.data(), &frame, sizeof frame);
  return bytes;
}

Bytes plain(std::uint16_t type) { return bytes_of(hf_frame_header{type, 0, sizeof(hf_frame_header)}); }

Bytes number(std::uint16_t type, std::uint64_t value) {
  return bytes_of(hf_frame_number{{type, 0, sizeof(hf_frame_number)}, value});
}

Bytes connections() {
  hf_connection_record record{};
  record.record_length = sizeof record;
  record.family = HF_FAMILY_IPV4;
  record.bucket = 300;
  record.id = 1001;
  record.accepted_ns = 5'000'000'000;
  const std::uint8_t remote[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
  const std::uint8_t local[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1};
  std::memcpy(record.remote, remote, sizeof remote);
  std::memcpy(record.local, local, sizeof local);
  record.remote_port = 40000;
  record.local_port = 8080;
  Bytes bytes = bytes_of(hf_frame_header{HF_FRAME_CONNECTIONS, 1, sizeof(hf_frame_header) + sizeof record});
  const Bytes tail = bytes_of(record);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

Bytes with_text(Bytes bytes, std::string_view text) {
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}

Bytes bus_messages() {
  hf_bus_record record{};
  record.length = 64;
  record.kind = HF_BUS_PUBLISH;
  record.name_length = 3;
  record.size = 2;
  Bytes bytes = bytes_of(hf_frame_header{HF_BUS_MESSAGES, 1, 72});
  const Bytes head = bytes_of(record);
  bytes.insert(bytes.end(), head.begin(), head.end());
  return with_text(std::move(bytes), std::string_view("a.b\0\0\0\0\0hi\0\0\0\0\0\0", 16));
}

TEST(WorkerProtocol, HasTheBytesThatItsDocumentShows) {
  std::map<std::string, Bytes> expected;
  expected["drain"] =
      bytes_of(hf_frame_drain{{HF_FRAME_DRAIN, 0, sizeof(hf_frame_drain)}, 123456789012345, 10000000000});
  expected["hello"] =
      bytes_of(hf_frame_hello{{HF_FRAME_HELLO, 0, sizeof(hf_frame_hello)}, HF_PROTOCOL_VERSION, HF_HELLO_PAGE, 4711});
  expected["ready"] = plain(HF_FRAME_READY);
  expected["taken"] = number(HF_FRAME_TAKEN, 64);
  expected["closed"] = number(HF_FRAME_CLOSED, 1);
  expected["heartbeat"] = plain(HF_FRAME_HEARTBEAT);
  expected["lost"] = number(HF_FRAME_LOST, 6);
  expected["drained"] = plain(HF_FRAME_DRAINED);
  expected["accepted"] = number(HF_FRAME_ACCEPTED, 3);
  expected["connections"] = connections();
  expected["bus join"] = bytes_of(hf_bus_join{{HF_BUS_JOIN, 0, sizeof(hf_bus_join)}, HF_PROTOCOL_VERSION, 0});
  expected["bus subscribe"] =
      with_text(bytes_of(hf_bus_subscription{{HF_BUS_SUBSCRIBE, 0, 19}, HF_BUS_ONLY_NEW}), "a.*");
  expected["bus messages"] = bus_messages();
  const std::map<std::string, Bytes> shown = examples();
  for (const auto& [name, bytes] : expected) {
    const auto example = shown.find(name);
    ASSERT_NE(example, shown.end()) << "PROTOCOL.md has no example of " << name;
    EXPECT_EQ(example->second, bytes) << name;
  }
  EXPECT_EQ(shown.size(), expected.size()) << "an example that nobody checks";
}

TEST(WorkerProtocol, HasTheOffsetsThatItsDocumentShows) {
  EXPECT_EQ(offsetof(hf_page, want_taken), 16u);
  EXPECT_EQ(offsetof(hf_page, heartbeat_ns), 64u);
  EXPECT_EQ(offsetof(hf_page, taken), 72u);
  EXPECT_EQ(offsetof(hf_page, closed), 80u);
  EXPECT_EQ(offsetof(hf_page, lost), 88u);
  EXPECT_EQ(offsetof(hf_page, accepted), 96u);
  EXPECT_EQ(offsetof(hf_connection_record, remote), 24u);
  EXPECT_EQ(offsetof(hf_connection_record, remote_port), 56u);
  EXPECT_EQ(offsetof(hf_connection_record, reserved), 64u);
  EXPECT_EQ(sizeof(hf_connection_record), 72u);
  EXPECT_EQ(HF_PAGE_MAGIC, 0x0000656761707366u);
}

}  // namespace
}  // namespace holdfast::test
