#include "control/control_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "ctl/control_client.h"
#include "loop/loop.h"
#include "sys/sockets.h"
#include "sys/stream.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

// A server that answers "ping" at once, keeps the replies of "later", and drops those of "forget".
class ControlServerTest : public testing::Test {
 protected:
  void start(Duration patience = ControlServer::kPatience) {
    Result<std::unique_ptr<ControlServer>> created = ControlServer::create(
        loop_, path_,
        [this](ControlRequest request, ControlReply reply) {
          ++requests_;
          if (request.verb == "ping") reply.send(ControlSuccess{R"("pong")"});
          if (request.verb == "large") reply.send(ControlSuccess{'"' + std::string(4'000'000, 'x') + '"'});
          if (request.verb == "later") kept_.push_back(std::move(reply));
        },
        patience);
    ASSERT_TRUE(created) << created.error().message();
    server_ = *std::move(created);
  }

  // The whole way through the client, while the loop runs here.
  ControlResponse ask(const std::string& verb) {
    std::atomic<bool> answered = false;
    ControlResponse response;
    std::thread client([&] {
      response = ask_supervisor(path_, ControlRequest{verb, {}}, 15s);
      answered = true;
    });
    EXPECT_TRUE(run_until(loop_, [&] { return answered.load(); }));
    client.join();
    return response;
  }
  void expect_that_others_are_served() { EXPECT_EQ(ask("ping"), ControlResponse(ControlSuccess{R"("pong")"})); }

  UniqueFd connect() {
    Result<UniqueFd> connection = connect_unix(path_, 5s);
    EXPECT_TRUE(connection) << connection.error().message();
    return *std::move(connection);
  }
  UniqueFd connect_and_send(const std::string& bytes) {
    UniqueFd connection = connect();
    EXPECT_EQ(::send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return connection;
  }
  // What a client has received when the server has closed its connection; nothing if that never happens.
  std::optional<std::string> received_until_end(BorrowedFd connection) {
    std::string text;
    bool ended = false;
    const bool happened = run_until(loop_, [&] {
      std::array<char, 65536> buffer;
      ssize_t length = 0;
      while ((length = ::recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(length));
      }
      ended = length == 0 || errno != EAGAIN;
      return ended;
    });
    return happened ? std::optional(text) : std::nullopt;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_ / "x.sock";
  Loop loop_;
  std::vector<ControlReply> kept_;
  int requests_ = 0;
  std::unique_ptr<ControlServer> server_;
};

const std::string kPing = encode(ControlRequest{"ping", {}});
const std::string kLater = encode(ControlRequest{"later", {}});
const std::string kWait = encode(ControlRequest{"later", {{"wait", true}}});
const std::string kPong = "{\"v\":1,\"ok\":true,\"result\":\"pong\"}\n";

TEST_F(ControlServerTest, AnswersARequest) {
  start();
  EXPECT_EQ(ask("ping"), ControlResponse(ControlSuccess{R"("pong")"}));
}

TEST_F(ControlServerTest, AnswersARequestThatArrivesInPieces) {
  start();
  const UniqueFd connection = connect();
  for (const char byte : kPing) {
    ASSERT_EQ(::send(connection.get(), &byte, 1, 0), 1);
    run_for(loop_, 1ms);
  }
  EXPECT_EQ(received_until_end(connection), kPong);
}

TEST_F(ControlServerTest, AnswersLaterAndOthersMeanwhile) {
  start();
  const UniqueFd patient = connect_and_send(kLater);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  expect_that_others_are_served();
  kept_.front().send(ControlSuccess{"[1]"});
  EXPECT_EQ(received_until_end(patient), "{\"v\":1,\"ok\":true,\"result\":[1]}\n");
}

TEST_F(ControlServerTest, AReplyIsGivenOnce) {
  start();
  const UniqueFd patient = connect_and_send(kLater);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  kept_.front().send(ControlSuccess{"1"});
  kept_.front().send(ControlSuccess{"2"});
  EXPECT_EQ(received_until_end(patient), "{\"v\":1,\"ok\":true,\"result\":1}\n");
}

TEST_F(ControlServerTest, AReplyThatIsDroppedTellsTheClient) {
  start();
  const ControlResponse response = ask("forget");
  ASSERT_TRUE(std::holds_alternative<ControlFailure>(response));
  EXPECT_THAT(std::get<ControlFailure>(response).error, HasSubstr("gave up"));
}

TEST_F(ControlServerTest, AClientThatLeavesWhileItWaitsIsForgotten) {
  start();
  (void)ask("ping");  // whatever the first client costs for good
  const std::uint64_t open_before = open_file_count();
  for (int i = 0; i < 40; ++i) {  // more than may be connected at a time
    UniqueFd leaver = connect_and_send(kLater);
    ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == static_cast<std::size_t>(i + 1); }));
    leaver.reset();
    ASSERT_TRUE(run_until(loop_, [&] { return open_file_count() == open_before; }));
  }
  for (ControlReply& reply : kept_) reply.send(ControlSuccess{"null"});
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, AClientThatHasFinishedItsSendingStillGetsItsAnswer) {
  start();
  const UniqueFd patient = connect_and_send(kLater);
  ASSERT_EQ(::shutdown(patient.get(), SHUT_WR), 0);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  run_for(loop_, 20ms);
  kept_.front().send(ControlSuccess{"1"});
  EXPECT_EQ(received_until_end(patient), "{\"v\":1,\"ok\":true,\"result\":1}\n");
}

TEST_F(ControlServerTest, AClientThatGoesOnTalkingCostsNothingAndStillGetsItsAnswer) {
  start();
  const UniqueFd talker = connect_and_send(kLater);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  ASSERT_GT(::send(talker.get(), kPing.data(), kPing.size(), MSG_NOSIGNAL), 0);
  EXPECT_FALSE(spins(loop_)) << "the loop spins";
  EXPECT_EQ(requests_, 1);
  kept_.front().send(ControlSuccess{"1"});
  EXPECT_EQ(received_until_end(talker), "{\"v\":1,\"ok\":true,\"result\":1}\n");
}

TEST_F(ControlServerTest, GarbageIsAnsweredAndHarmsNobody) {
  start();
  for (const std::string& garbage :
       {std::string("\n"), std::string("GET / HTTP/1.1\r\n"), std::string("\0\xff\xfe\n", 4),
        std::string("{\"v\":9,\"verb\":\"status\"}\n"), std::string(60'000, '[') + "\n"}) {
    const UniqueFd connection = connect_and_send(garbage);
    const std::optional<std::string> answer = received_until_end(connection);
    ASSERT_TRUE(answer);
    EXPECT_THAT(*answer, HasSubstr("\"ok\":false"));
  }
  EXPECT_EQ(requests_, 0);
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, ALineWithoutEndIsRefusedAt64KiB) {
  start();
  const UniqueFd connection = connect();
  const std::string piece(16 * 1024, 'a');
  std::thread writer([&] {
    while (::send(connection.get(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  // The connection is closed under the writer: that ends it.
  const std::optional<std::string> answer = received_until_end(connection);
  writer.join();
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("longer than 65536 bytes"));
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, AClientThatStallsIsClosedAndHarmsNobody) {
  start(300ms);
  const UniqueFd silent = connect();
  const UniqueFd halfway = connect_and_send("{\"v\":1,");
  expect_that_others_are_served();
  EXPECT_EQ(received_until_end(silent), "");
  EXPECT_EQ(received_until_end(halfway), "");
  EXPECT_EQ(requests_, 1);
}

TEST_F(ControlServerTest, AClientThatWaitsIsNotAStallingOne) {
  start(50ms);
  const UniqueFd patient = connect_and_send(kLater);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  run_for(loop_, 200ms);
  kept_.front().send(ControlSuccess{"1"});
  EXPECT_EQ(received_until_end(patient), "{\"v\":1,\"ok\":true,\"result\":1}\n");
}

TEST_F(ControlServerTest, AClientThatDoesNotTakeItsAnswerIsClosedAndHarmsNobody) {
  start(300ms);
  const UniqueFd lazy = connect_and_send(encode(ControlRequest{"large", {}}));
  ASSERT_TRUE(run_until(loop_, [&] { return requests_ == 1; }));
  expect_that_others_are_served();
  run_for(loop_, 400ms);
  const std::optional<std::string> part = received_until_end(lazy);
  ASSERT_TRUE(part);
  EXPECT_LT(part->size(), 4'000'000U);
}

TEST_F(ControlServerTest, AnAnswerLargerThanTheSocketsBufferArrivesWhole) {
  start();
  const ControlResponse response = ask("large");
  ASSERT_TRUE(std::holds_alternative<ControlSuccess>(response));
  EXPECT_EQ(std::get<ControlSuccess>(response).result.size(), 4'000'002U);
}

TEST_F(ControlServerTest, MoreClientsThanItTakesAreToldToTryAgain) {
  start();
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 32; ++i) clients.push_back(connect_and_send(kLater));
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 32; }));
  const UniqueFd one_more = connect();
  const std::optional<std::string> answer = received_until_end(one_more);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, AllOf(HasSubstr("busy"), HasSubstr("\"exit_code\":1}"))) << "75 would mean a crash loop";
  clients.pop_back();
  run_for(loop_, 20ms);
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, ThoseThatWaitByWishLeaveRoomForAllThatAsk) {
  start();
  std::vector<UniqueFd> waiting;
  for (std::size_t i = 0; i < 32; ++i) waiting.push_back(connect_and_send(kWait));
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 32; }));
  expect_that_others_are_served();
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 31; ++i) silent.push_back(connect());
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, OneMoreThatWouldWaitByWishIsRefusedBeforeAnythingIsDone) {
  start();
  std::vector<UniqueFd> waiting;
  for (std::size_t i = 0; i < 32; ++i) waiting.push_back(connect_and_send(kWait));
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 32; }));
  const UniqueFd one_more = connect_and_send(kWait);
  const std::optional<std::string> answer = received_until_end(one_more);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, AllOf(HasSubstr("without --wait"), HasSubstr("\"exit_code\":1}")));
  EXPECT_EQ(requests_, 32);
  // Each one that goes makes room again: by its answer, or by leaving.
  kept_.front().send(ControlSuccess{"1"});
  ASSERT_TRUE(received_until_end(waiting.front()));
  const UniqueFd next = connect_and_send(kWait);
  EXPECT_TRUE(run_until(loop_, [&] { return kept_.size() == 33; }));
}

TEST_F(ControlServerTest, AnswersWhenNoDescriptorIsLeft) {
  start();
  const UniqueFd operator_one = connect_and_send(kPing);
  const UniqueFd operator_two = connect_and_send(kPing);
  {
    const FewDescriptors none_left(0);
    EXPECT_EQ(received_until_end(operator_one), kPong);
    EXPECT_EQ(received_until_end(operator_two), kPong);
  }
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, OnlyItsUserMayOpenTheSocketAndTheFileGoesWithTheServer) {
  start();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  const UniqueFd client = connect_and_send(kLater);
  ASSERT_TRUE(run_until(loop_, [&] { return kept_.size() == 1; }));
  server_.reset();
  EXPECT_EQ(::stat(path_.c_str(), &status), -1);
  EXPECT_EQ(received_until_end(client), "");
  kept_.front().send(ControlSuccess{"1"});  // nobody is there, and nothing happens
}

TEST_F(ControlServerTest, APathThatALiveServerOwnsIsRefused) {
  start();
  Result<std::unique_ptr<ControlServer>> second =
      ControlServer::create(loop_, path_, [](ControlRequest, ControlReply) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
  second = Error{};
  expect_that_others_are_served();
}

TEST_F(ControlServerTest, AnotherUserIsTurnedAwayEvenWhereTheFilePermits) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  start();
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  OutputPipe pipe = *make_output_pipe(65536);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    const Result<UniqueFd> connection = connect_unix(path_, 5s);
    if (!connection) ::_exit(2);
    (void)::send(connection->get(), kPing.data(), kPing.size(), MSG_NOSIGNAL);  // it may be closed already
    std::array<char, 4096> buffer;
    const ssize_t length = ::recv(connection->get(), buffer.data(), buffer.size(), 0);
    if (length > 0) (void)!::write(pipe.writer.get(), buffer.data(), static_cast<std::size_t>(length));
    ::_exit(0);
  }
  pipe.writer.reset();
  const std::optional<std::string> answer = [&]() -> std::optional<std::string> {
    std::string text;
    const bool ended = run_until(loop_, [&] {
      std::array<char, 4096> buffer;
      const Result<StreamRead> read = read_some(pipe.reader, buffer);
      if (read && read->state == StreamRead::State::Bytes) text.append(buffer.data(), read->length);
      return !read || read->state == StreamRead::State::End;
    });
    return ended ? std::optional(text) : std::nullopt;
  }();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("\"exit_code\":77"));
  EXPECT_EQ(requests_, 0);
  expect_that_others_are_served();
}

}  // namespace
}  // namespace holdfast
