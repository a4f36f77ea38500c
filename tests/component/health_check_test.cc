#include "worker/health_check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "component/run_until.h"
#include "support/eventually.h"
#include "support/process.h"
#include "sys/environment.h"
#include "sys/loopback_pair.h"
#include "sys/resident_memory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// A check over a real connection, whose other end is ours to answer on.
class HttpCheckTest : public testing::Test {
 protected:
  HttpCheckTest() {
    Result<LoopbackPair> pair = make_loopback_pair();
    if (!pair) throw std::runtime_error(pair.error().message());
    worker = std::move(pair->theirs.fd);
    check.emplace(loop, std::move(pair->ours), "/healthz", [this](const CheckResult& told) {
      EXPECT_FALSE(result) << "told twice";
      result = told;
    });
  }
  std::string request() {
    std::string text;
    EXPECT_TRUE(run_until(loop, [&] {
      char buffer[1024];
      const ssize_t length = ::recv(worker.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (length > 0) text.append(buffer, static_cast<std::size_t>(length));
      return text.ends_with("\r\n\r\n");
    }));
    return text;
  }
  void answer(std::string_view bytes) const {
    ASSERT_EQ(::send(worker.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  CheckResult told() {
    EXPECT_TRUE(run_until(loop, [&] { return result.has_value(); }));
    return result.value_or(CheckResult{});
  }

  Loop loop;
  UniqueFd worker;
  std::optional<CheckResult> result;
  std::optional<HttpCheck> check;
};

TEST_F(HttpCheckTest, AsksAndPassesOn2xxAnd3xx) {
  const std::string asked = request();
  EXPECT_TRUE(asked.starts_with("GET /healthz HTTP/1.1\r\nHost: ")) << asked;
  EXPECT_NE(asked.find("Connection: close\r\n"), std::string::npos);
  answer("HTTP/1.1 302 Found\r\n");
  const CheckResult heard = told();
  EXPECT_TRUE(heard.passed);
  EXPECT_EQ(heard.reason, "GET /healthz: 302 Found");
}

TEST_F(HttpCheckTest, TheAnswerMayComeInPieces) {
  answer("HTTP/1.");
  run_for(loop, 20ms);
  EXPECT_FALSE(result);
  answer("1 204 No Content\r\n");
  EXPECT_TRUE(told().passed);
}

TEST_F(HttpCheckTest, FailsOnOtherAnswers) {
  answer("HTTP/1.1 404 Not Found\r\n\r\n");
  const CheckResult heard = told();
  EXPECT_FALSE(heard.passed);
  EXPECT_EQ(heard.reason, "GET /healthz: 404 Not Found");
}

TEST_F(HttpCheckTest, FailsOnWhatIsNoHttp) {
  answer("SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_EQ(told().reason, "GET /healthz: the answer is not HTTP");
}

TEST_F(HttpCheckTest, FailsWhenTheWorkerCloses) {
  worker.reset();
  const CheckResult heard = told();
  EXPECT_FALSE(heard.passed);
  EXPECT_EQ(heard.reason, "GET /healthz: closed without an answer");
}

TEST(LoopbackPair, IsATcpConnectionWithAddresses) {
  const Result<LoopbackPair> pair = make_loopback_pair();
  ASSERT_TRUE(pair) << pair.error().message();
  const Endpoint ours = local_endpoint(pair->ours);
  EXPECT_EQ(ours.family, Endpoint::Family::V4);
  EXPECT_EQ(ours.port, pair->theirs.remote.port);
  EXPECT_EQ(pair->theirs.remote.address.text(), "127.0.0.1");
  ASSERT_EQ(::send(pair->ours.get(), "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(::recv(pair->theirs.fd.get(), &byte, 1, 0), 1);
}

class CommandCheckTest : public testing::Test {
 protected:
  std::unique_ptr<CommandCheck> start(const std::string& script) {
    SpawnPlan plan;
    plan.command = {"/bin/sh", "-c", script};
    plan.environment = inherited_environment({});
    Result<std::unique_ptr<CommandCheck>> check = CommandCheck::start(
        loop, std::move(plan), "main", SlotId{0}, [this](const CheckResult& told) { result = told; });
    EXPECT_TRUE(check);
    return *std::move(check);
  }
  Loop loop;
  std::optional<CheckResult> result;
};

TEST_F(CommandCheckTest, PassesOnCodeZero) {
  const auto check = start("exit 0");
  ASSERT_TRUE(run_until(loop, [&] { return result.has_value(); }));
  EXPECT_TRUE(result->passed);
  EXPECT_TRUE(check->has_ended());
}

TEST_F(CommandCheckTest, FailsOnOthersAndTellsItsLastLine) {
  const auto check = start("echo one; echo no database >&2; exit 7");
  ASSERT_TRUE(run_until(loop, [&] { return result.has_value(); }));
  EXPECT_FALSE(result->passed);
  EXPECT_EQ(result->reason, "the check exited with code 7: no database");
}

TEST_F(CommandCheckTest, IsKilledWhenItIsGivenUp) {
  const auto check = start("sleep 1000");
  bool ended = false;
  check->give_up([&] { ended = true; });
  ASSERT_TRUE(run_until(loop, [&] { return ended; }));
  EXPECT_FALSE(result) << "nothing more is told of it";
}

// A process group of its own: the runner of the tests, and whatever else it runs beside this one, share ours.
TEST(ResidentMemory, CountsTheGroupsOfThisMachine) {
  const auto of_group = [](pid_t group) {
    const std::map<pid_t, std::uint64_t> resident = resident_by_group();
    const auto found = resident.find(group);
    return found == resident.end() ? 0 : found->second;
  };
  EXPECT_GT(of_group(::getpgrp()), 1U << 20);
  test::ProcessPlan plan;
  plan.command = {"/bin/sh", "-c", "held=$(head -c 32000000 /dev/zero | tr '\\0' x); kill -STOP $$"};
  const test::Process holder(plan);
  EXPECT_TRUE(test::eventually([&] { return of_group(holder.pid()) > 32'000'000; }));
}

}  // namespace
}  // namespace holdfast
