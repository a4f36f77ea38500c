// Workers that break the protocol: disconnected, counted and replaced, and nobody else notices.
#include <gtest/gtest.h>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

// Slot 1's first worker says hello and ready, then does what it is told; every other worker is a good one.
constexpr const char* kBadWorker = R"(#!/usr/bin/python3
import array, mmap, os, socket, struct, sys, time
kind, directory, good = sys.argv[1:4]
once = os.path.join(directory, "once")
if os.environ["HOLDFAST_SLOT"] != "1" or os.path.exists(once):
    os.execv(good, [good])
open(once, "w").close()
channel = socket.socket(fileno=int(os.environ["HOLDFAST_CHANNEL"]))
def send(kind, body=b"", count=0, length=None):
    channel.send(struct.pack("<HHI", kind, count, 8 + len(body) if length is None else length) + body)
HELLO, READY, TAKEN, HEARTBEAT, CLOSED = 64, 65, 66, 68, 67
if kind == "no_hello":
    channel.send(b"GET / HTTP/1.0\r\n\r\n")
elif kind == "version":
    send(HELLO, struct.pack("<IIQ", 0, 0, os.getpid()))
elif kind == "late_hello":
    send(READY)
else:
    send(HELLO, struct.pack("<IIQ", 1, 1 if kind == "page" else 0, os.getpid()))
    send(READY)
if kind in ("second_hello", "late_hello"):
    send(HELLO, struct.pack("<IIQ", 1, 0, os.getpid()))
if kind == "short":
    channel.send(b"xy")
elif kind == "length":
    send(HEARTBEAT, length=4000)
elif kind == "long":
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    send(HEARTBEAT, b"x" * 60000)
elif kind == "truncated":
    channel.send(struct.pack("<HHI", TAKEN, 0, 12) + b"1234")
elif kind == "direction":
    send(1, b"\0" * 72, count=1)
elif kind == "taken":
    send(TAKEN, struct.pack("<Q", (1 << 64) - 1))
elif kind == "closed":
    send(CLOSED, struct.pack("<Q", 1 << 63))
elif kind == "unknown":
    for number in (2000, 65535):
        send(number, b"from the future")
elif kind == "descriptors":
    for _ in range(50):
        channel.sendmsg([struct.pack("<HHI", HEARTBEAT, 0, 8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
elif kind == "page":
    page = mmap.mmap(int(os.environ["HOLDFAST_PAGE"]), 4096)
    page[:] = b"\xff" * 4096
elif kind == "shutdown":
    channel.shutdown(socket.SHUT_RDWR)
elif kind == "flood":
    channel.setblocking(True)
    while True:
        send(HEARTBEAT)
open(os.path.join(directory, "done"), "w").close()
while True:
    time.sleep(0.1)
    if kind in ("unknown", "descriptors", "taken", "closed", "page"):
        send(HEARTBEAT)
)";

class GarbageWorker : public testing::TestWithParam<const char*> {
 protected:
  GarbageWorker() { write_script(directory_ / "bad", kBadWorker); }

  [[nodiscard]] SupervisorPlan plan(const std::string& kind) const {
    SupervisorPlan plan;
    plan.command = {"{dir}/bad", kind, "{dir}", whoami_program()};
    plan.options = {"--hold-timeout", "300ms", "--heartbeat-timeout", "5s", "--kill-timeout", "1s"};
    return plan;
  }
  void wait_until_done() const {
    EXPECT_TRUE(eventually(
        [&] { return !text_of(directory_ / "done").empty() || std::filesystem::exists(directory_ / "done"); }));
  }

  TempDirectory directory_;
};

using WorkerThatIsReplaced = GarbageWorker;

TEST_P(WorkerThatIsReplaced, IsCountedAndTheOthersServeOn) {
  const Supervisor supervisor(plan(GetParam()), &directory_);
  const Endpoint target = supervisor.target();
  const StatusView status = supervisor.wait_until(
      "slot 1 has a good worker", [](const StatusView& now) { return now.all_serving() && now.slot(1).restarts >= 1; });
  EXPECT_EQ(status.slot(0).restarts, 0u);
  EXPECT_FALSE(status.slot(1).last_exit.empty());
  EXPECT_NE(supervisor.errors().find("protocol"), std::string::npos) << "it does not say why\n" << supervisor.errors();
  const LoadReport report = LoadLoop(LoadPlan{target, ipv4_sources(100), 16, 200, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_EQ(report.answered_by.size(), 2u);
  EXPECT_EQ(supervisor.wait_until_settled().handed, report.connections());
}

INSTANTIATE_TEST_SUITE_P(For, WorkerThatIsReplaced,
                         testing::Values("no_hello", "late_hello", "second_hello", "version", "short", "length", "long",
                                         "truncated", "direction", "shutdown"),
                         [](const auto& instance) { return instance.param; });

using WorkerThatLies = GarbageWorker;

// Numbers are all that is believed of a worker, and even they may not break the account or reach another slot.
TEST_P(WorkerThatLies, HarmsNobodyButItself) {
  const Supervisor supervisor(plan(GetParam()), &directory_);
  const Endpoint target = supervisor.target();
  const pid_t good =
      supervisor.wait_until("slot 0 serves", [](const StatusView& now) { return now.slot(0).state == "serving"; })
          .slot(0)
          .pid;
  wait_until_done();
  std::vector<std::string> clients;  // of slot 0
  for (const std::string& source : ipv4_sources(30)) {
    if (supervisor.route(source) == 0) clients.push_back(source);
  }
  ASSERT_FALSE(clients.empty());
  const LoadReport report = LoadLoop(LoadPlan{target, clients, 16, 300, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  const StatusView status =
      supervisor.wait_until("the account balances", [](const StatusView& now) { return now.balanced(); });
  EXPECT_EQ(status.accepted, 300u) << status.json;
  EXPECT_EQ(status.slot(0).pid, good);
  EXPECT_EQ(status.slot(0).handed, 300u);
}

INSTANTIATE_TEST_SUITE_P(About, WorkerThatLies, testing::Values("taken", "closed", "page"),
                         [](const auto& instance) { return instance.param; });

TEST_F(GarbageWorker, FramesOfTheFutureAreIgnored) {
  const Supervisor supervisor(plan("unknown"), &directory_);
  supervisor.wait_until_serving();
  wait_until_done();
  EXPECT_EQ(supervisor.wait_until_serving().slot(1).restarts, 0u);
}

TEST_F(GarbageWorker, DescriptorsThatItSendsAreClosed) {
  const Supervisor supervisor(plan("descriptors"), &directory_);
  supervisor.wait_until_serving();
  wait_until_done();
  supervisor.wait_until_serving();
  // As many as a supervisor of two good workers has, but for the little that two of them may differ by in their youth.
  const Supervisor model;
  model.wait_until_serving();
  EXPECT_TRUE(eventually([&] { return open_files_of(supervisor.pid()) <= open_files_of(model.pid()) + 2; }))
      << open_files_of(supervisor.pid()) << " descriptors, a healthy one has " << open_files_of(model.pid());
}

TEST_F(GarbageWorker, AFloodOfFramesStarvesNobody) {
  const Supervisor supervisor(plan("flood"), &directory_);
  const Endpoint target = supervisor.target();
  supervisor.wait_until("slot 0 serves", [](const StatusView& now) { return now.slot(0).state == "serving"; });
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(directory_ / "once"); }));
  std::string client = "127.0.0.1";
  for (const std::string& source : ipv4_sources(30)) {
    if (supervisor.route(source) == 0) client = source;
  }
  const LoadReport report = LoadLoop(LoadPlan{target, {client}, 8, 200, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
}

}  // namespace
}  // namespace holdfast::test
