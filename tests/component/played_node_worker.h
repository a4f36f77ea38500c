#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sys/fd_passing.h"
#include "sys/unique_fd.h"

namespace holdfast {

// What a Node.js worker says.
inline const std::string kAcknowledged = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
inline const std::string kMissing = "{\"cmd\":\"NODE_HANDLE_NACK\"}\n";

inline std::string listening(int port) {
  const std::string server = ",\"index\":0,\"address\":null,\"addressType\":4,\"port\":" + std::to_string(port) + "}\n";
  return R"({"cmd":"NODE_CLUSTER","seq":1,"act":"queryServer")" + server +
         R"({"cmd":"NODE_CLUSTER","seq":2,"act":"listening")" + server;
}
inline std::string accepted(std::int64_t number, const char* how = "true") {
  return R"({"cmd":"NODE_CLUSTER","ack":)" + std::to_string(number) + ",\"accepted\":" + how + "}\n";
}

// A worker's end of a channel, on which the test says what a Node.js worker says.
class PlayedNodeWorker {
 public:
  explicit PlayedNodeWorker(UniqueFd channel) : channel_(std::move(channel)) {}

  void say(const std::string& lines) {
    ASSERT_EQ(::send(channel_.get(), lines.data(), lines.size(), MSG_NOSIGNAL), static_cast<ssize_t>(lines.size()));
  }
  // Reads what is there; each read gives at most one descriptor, as recvmsg does.
  bool read() {
    std::vector<std::byte> buffer(65536);
    Result<Received> received = receive_with_fds(channel_, buffer);
    if (!received || received->state == Received::State::WouldBlock) return false;
    if (received->state == Received::State::Closed) {
      closed_ = true;
      return false;
    }
    text_.append(reinterpret_cast<const char*>(buffer.data()), received->length);
    EXPECT_LE(received->fds.size(), 1u);
    for (UniqueFd& fd : received->fds) fds_.push_back(std::move(fd));
    return true;
  }
  std::string read_all() {
    while (read()) continue;
    return std::exchange(text_, {});
  }
  [[nodiscard]] std::vector<UniqueFd>& fds() { return fds_; }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] BorrowedFd channel() const { return channel_; }
  void die() { channel_.reset(); }

 private:
  UniqueFd channel_;
  std::string text_;
  std::vector<UniqueFd> fds_;
  bool closed_ = false;
};

}  // namespace holdfast
