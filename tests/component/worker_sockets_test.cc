// What /proc tells of a worker: here a child that leads a process group of its own.
#include "sys/worker_sockets.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <variant>

#include "support/eventually.h"
#include "support/http_client.h"
#include "support/process.h"
#include "sys/socket_facts.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using test::eventually;

// Accepts by a child of its own as many as it is told, and then waits: in accept(2), or for a signal.
class Group {
 public:
  enum class Then { Accepts, Sleeps };
  Group(int listener, int accepts, Then then) : leader_(::fork()) {
    ::setpgid(leader_, leader_);  // by both of us: the group is there when either goes on
    if (leader_ != 0) return;
    if (::fork() == 0) {
      for (int i = 0; i < accepts; ++i) (void)::accept(listener, nullptr, nullptr);
      if (then == Then::Accepts) (void)::accept(listener, nullptr, nullptr);
    }
    for (;;) ::pause();
  }
  ~Group() {
    ::kill(-leader_, SIGKILL);
    (void)::waitpid(leader_, nullptr, 0);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  [[nodiscard]] pid_t leader() const { return leader_; }

 private:
  pid_t leader_;
};

class WorkerSockets : public testing::Test {
 protected:
  void SetUp() override {
    Result<ListeningSocket> made = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
    ASSERT_TRUE(made);
    listener_ = std::move(made->fd);
    (void)set_non_blocking(listener_, false);
    ports_[0] = std::get<TcpAddress>(made->bound).port;
    target_ = test::endpoint(to_text(made->bound));
  }
  UniqueFd listener_;
  std::array<std::uint16_t, 1> ports_{};
  test::Endpoint target_;
};

TEST_F(WorkerSockets, ConnectionsOfAWorkersChildrenCountUntilTheyAreClosed) {
  const Group group(listener_.get(), 2, Group::Then::Sleeps);
  EXPECT_EQ(open_connections(group.leader(), ports_), 0U);
  test::HttpClient one(target_);
  {
    const test::HttpClient other(target_);
    EXPECT_TRUE(eventually([&] { return open_connections(group.leader(), ports_) == 2; }));
  }
  // The worker has not closed it: to be left by a client is no end of a connection.
  EXPECT_EQ(open_connections(group.leader(), ports_), 2U);
  const std::array<std::uint16_t, 1> others = {static_cast<std::uint16_t>(ports_[0] ^ 1)};
  EXPECT_EQ(open_connections(group.leader(), others), 0U);
  EXPECT_EQ(open_connections(::getppid(), ports_), 0U);
}

TEST_F(WorkerSockets, ThatAThreadWaitsInAcceptIsSeen) {
  const Group accepting(listener_.get(), 0, Group::Then::Accepts);
  EXPECT_TRUE(eventually([&] { return waits_in_accept(accepting.leader()); }));
  const Group sleeping(listener_.get(), 0, Group::Then::Sleeps);
  EXPECT_FALSE(waits_in_accept(sleeping.leader()));
}

TEST_F(WorkerSockets, ThatItsFirstThreadWaitsForEventsIsSeen) {
  const Group group(listener_.get(), 0, Group::Then::Sleeps);
  EXPECT_TRUE(eventually([&] { return is_at_work(group.leader()); })) << "pause(2) is no event loop";
  const pid_t waiting = ::fork();
  if (waiting == 0) {
    const int events = ::epoll_create1(EPOLL_CLOEXEC);
    for (epoll_event event{};;) (void)::epoll_wait(events, &event, 1, -1);
  }
  EXPECT_TRUE(eventually([&] { return !is_at_work(waiting); }));
  ::kill(waiting, SIGKILL);
  (void)::waitpid(waiting, nullptr, 0);
}

TEST_F(WorkerSockets, ThatAThreadSleepsIsSeen) {
  const Group group(listener_.get(), 0, Group::Then::Sleeps);
  EXPECT_TRUE(eventually([&] { return is_asleep(group.leader()); }));
  const pid_t computing = ::fork();
  if (computing == 0) {
    for (volatile bool on = true; on;) {
    }
  }
  EXPECT_FALSE(is_asleep(computing));
  ::kill(computing, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return test::process_state(computing) == "T"; }));
  EXPECT_FALSE(is_asleep(computing)) << "it goes on where it was";
  ::kill(computing, SIGKILL);
  (void)::waitpid(computing, nullptr, 0);
}

TEST(WorkerSocketsOfNobody, AreNone) {
  EXPECT_EQ(open_connections(-1, std::array<std::uint16_t, 1>{80}), 0U);
  EXPECT_FALSE(waits_in_accept(-1));
  EXPECT_FALSE(is_at_work(-1));
  EXPECT_TRUE(is_asleep(-1));
}

}  // namespace
}  // namespace holdfast
