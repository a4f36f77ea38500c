// Something that is no Redis.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

// A server of the test's own: what it says, to whoever comes.
class Stranger {
 public:
  explicit Stranger(const std::string& path)
      : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
  }
  ~Stranger() {
    for (const int client : clients_) ::close(client);
    ::close(listener_);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  // To those who have come by now. They stay.
  void say(std::string_view text) {
    for (int client = -1; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      clients_.push_back(client);
      (void)::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    }
  }

 private:
  int listener_;
  std::vector<int> clients_;
};

std::string trouble_of(const Supervisor& supervisor) { return link_of(supervisor).value("trouble", std::string()); }

TEST(BusNoRedis, SomethingThatIsNoRedisIsToldAndHarmsNobody) {
  const TempDirectory directory;
  Stranger stranger(directory / "nonsense");
  const Supervisor oak(machine("unix://" + (directory / "nonsense")));
  oak.wait_until_serving();
  EXPECT_TRUE(eventually([&] {
    stranger.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    return trouble_of(oak).find("Protocol error") != std::string::npos;
  })) << trouble_of(oak);
  oak.wait_until_told("Protocol error");
  EXPECT_TRUE(get_once(oak.target(), "/stats"));
}

TEST(BusNoRedis, OneThatNeverAnswersIsLeftAndHarmsNobody) {
  const TempDirectory directory;
  Stranger stranger(directory / "silent");
  const Supervisor oak(machine("unix://" + (directory / "silent")));
  oak.wait_until_serving();
  EXPECT_TRUE(eventually([&] {
    stranger.say("");
    return get_once(oak.target(), "/stats").has_value() && trouble_of(oak) == "it did not answer within 5 s";
  })) << trouble_of(oak);
}

}  // namespace
}  // namespace holdfast::test
