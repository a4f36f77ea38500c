// UDP in the steer plane: each client's datagrams go to its slot, and wait there while the slot has no worker.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"
#include "test_paths.h"

namespace holdfast::test {
namespace {

constexpr unsigned kClients = 200;

Way datagrams_by_sdk() { return {"sdk", {"--intake", "sdk"}, {HOLDFAST_BIN "/echo-udp"}, "sdk"}; }

// A client with an address of its own.
class Client {
 public:
  Client(const Endpoint& target, std::string source)
      : source_(std::move(source)), fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const Endpoint from = endpoint(source_ + ":0");
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&from.address), from.length), 0);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&target.address), target.length), 0);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] const std::string& source() const { return source_; }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  // The slot that sent `text` back; -1: nothing came, or something else.
  [[nodiscard]] int answered_by(std::string_view text, Duration patience = kPatience) const {
    pollfd waiting{fd_, POLLIN, 0};
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
    if (::poll(&waiting, 1, static_cast<int>(milliseconds)) != 1) return -1;
    std::array<char, 256> bytes;
    const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), 0);
    const std::string_view answer(bytes.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
    int slot = -1;
    if (!answer.starts_with("slot ") || !answer.ends_with(": " + std::string(text))) return -1;
    std::from_chars(answer.data() + 5, answer.data() + answer.size(), slot);
    return slot;
  }

 private:
  std::string source_;
  int fd_;
};
using Clients = std::vector<std::unique_ptr<Client>>;

class SteeredDatagrams : public testing::TestWithParam<Way> {
 protected:
  SteeredDatagrams() : supervisor_(plan()), target_(target()) {
    for (const std::string& source : ipv4_sources(kClients)) {
      clients_.push_back(std::make_unique<Client>(target_, source));
    }
  }

  // Everybody asks once. Few at a time, so that no queue overflows: UDP promises nothing.
  [[nodiscard]] std::vector<int> ask_all(std::string_view text) const {
    std::vector<int> slots;
    for (const std::unique_ptr<Client>& client : clients_) {
      client->send(text);
      slots.push_back(client->answered_by(text));
    }
    return slots;
  }
  [[nodiscard]] std::vector<int> routes() const {
    std::vector<int> slots;
    for (const std::unique_ptr<Client>& client : clients_) {
      const std::optional<std::string> answer = supervisor_.ask("route", {{"address", client->source()}});
      slots.push_back(answer ? nlohmann::json::parse(*answer)["slot"].get<int>() : -2);
    }
    return slots;
  }

  Supervisor supervisor_;
  Endpoint target_;
  Clients clients_;

 private:
  static SupervisorPlan plan() {
    SupervisorPlan plan = plan_of(GetParam());
    plan.listen = {"udp://127.0.0.1:0"};
    return plan;
  }
  [[nodiscard]] Endpoint target() const {
    supervisor_.wait_until_serving();
    const std::string address = supervisor_.address();  // udp://127.0.0.1:5353
    return endpoint(address.substr(address.rfind('/') + 1));
  }
};
INSTANTIATE_TEST_SUITE_P(Workers, SteeredDatagrams,
                         testing::Values(captured_plain(), inherited_plain(), datagrams_by_sdk()), name_of_way);

TEST_P(SteeredDatagrams, OfAClientAlwaysGoToTheSlotThatRouteNames) {
  const std::vector<int> expected = routes();
  EXPECT_EQ(std::set<int>(expected.begin(), expected.end()), (std::set<int>{0, 1, 2}));
  for (const char* text : {"one", "two", "three"}) EXPECT_EQ(ask_all(text), expected);
}

TEST_P(SteeredDatagrams, ThatADeadWorkerHadNotReadAreAnsweredByTheNextOne) {
  const std::vector<int> expected = routes();
  const StatusView before = supervisor_.wait_until_serving();
  for (unsigned slot = 0; slot < 3; slot++) {
    send_signal(before.slot(slot).pid, SIGSTOP);
    ASSERT_TRUE(eventually([&] { return process_state(before.slot(slot).pid) == "T"; }));
  }
  for (const std::unique_ptr<Client>& client : clients_) client->send("queued");
  for (unsigned slot = 0; slot < 3; slot++) send_signal(before.slot(slot).pid, SIGKILL);
  std::vector<int> answered;
  for (const std::unique_ptr<Client>& client : clients_) answered.push_back(client->answered_by("queued"));
  EXPECT_EQ(answered, expected);
  EXPECT_EQ(ask_all("afterwards"), expected);
}

TEST_P(SteeredDatagrams, FollowTheSuccessorAndNobodyElse) {
  const std::vector<int> expected = routes();
  const Ran ran = supervisor_.tell("restart", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  EXPECT_EQ(ask_all("after the restart"), expected);
}

// A worker that prepares its sockets for a while, as long as it computes, and then says so in {dir}/prepared{slot}.
constexpr const char* kPrepares = R"(
import os, socket, sys, time
listeners = [text.split('=', 1)[1] for text in os.environ['HOLDFAST_LISTENERS'].split(',')]
made = []
for address in sorted(listeners):  # TCP, if it is there, and then UDP
    kind = socket.SOCK_DGRAM if address.startswith('udp://') else socket.SOCK_STREAM
    host, port = address.removeprefix('udp://').rsplit(':', 1)
    made.append(socket.socket(socket.AF_INET, kind))
    made[-1].bind((host, int(port)))
    if kind == socket.SOCK_STREAM: made[-1].listen()
    end = time.process_time() + 0.1
    while time.process_time() < end: pass
open(sys.argv[1], 'w').close()
while made[-1].recv(1): pass
)";

// Some lose the datagrams that come between their bind and the options that they set then.
class PreparedDatagrams : public testing::TestWithParam<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(Listeners, PreparedDatagrams,
                         testing::Values(std::vector<std::string>{"udp://127.0.0.1:0"},
                                         std::vector<std::string>{"127.0.0.1:0", "udp://127.0.0.1:0"}),
                         [](const auto& one) { return one.param.size() == 1 ? "udp" : "tcp_and_udp"; });

TEST_P(PreparedDatagrams, ComeToAWorkerThatWaitsForThem) {
  SupervisorPlan plan;
  plan.listen = GetParam();
  plan.workers = 2;
  plan.options = {"--intake", "capture", "--start-grace", "1h", "--start-timeout", "2h"};
  plan.command = {"python3", "-c", kPrepares, "{dir}/prepared{slot}"};
  const Supervisor supervisor(plan);
  for (int round = 0; round < 2; round++) {
    supervisor.wait_until_serving();
    for (const char* name : {"prepared0", "prepared1"}) {
      EXPECT_TRUE(std::filesystem::remove(supervisor.directory() / name)) << name << " in round " << round;
    }
    if (round == 1) break;
    const Ran ran = supervisor.tell("restart", {"--wait"});
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  }
}

}  // namespace
}  // namespace holdfast::test
