// What it costs a worker to be captured: at its start, and at each system call afterwards.
//
//   capture_cost             measures; prints one JSON object, times in nanoseconds
//   capture_cost start PORT  the worker that is timed: binds, listens and ends; port 0 is none of ours
//   capture_cost calls       the other one: prints what a system call takes
//
// A start is from the spawn to the worker's end. The quickest of many is taken, captured and not by turns: what other load on the
// machine did not touch.
#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/listen_address.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/sockets.h"
#include "sys/spawn.h"
#include "worker/capture.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kStarts = 400;
constexpr int kRounds = 5;
constexpr int kCalls = 300'000;

[[noreturn]] void fail(const std::string& what) {
  (void)std::fprintf(stderr, "capture_cost: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T value_or_exit(Result<T> result) {
  if (!result) fail(result.error().message());
  return *std::move(result);
}

int bind_and_listen(int port) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 1;
  return ::listen(socket.get(), 5) == 0 ? 0 : 1;
}

int time_calls() {
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kCalls; ++i) (void)::syscall(SYS_getppid);
  std::printf("%.1f\n", std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kCalls);
  return 0;
}

SpawnPlan this_program(std::vector<std::string> words, bool captured) {
  SpawnPlan plan;
  plan.command = {"/proc/" + std::to_string(::getpid()) + "/exe"};
  plan.command.insert(plan.command.end(), std::make_move_iterator(words.begin()), std::make_move_iterator(words.end()));
  plan.capture = captured;
  return plan;
}

// Lets it run to its end, and answers its binds meanwhile.
void see_off(Loop& loop, Child& child, BorrowedFd listener, const ManagedAddress& address) {
  std::unique_ptr<Capture> capture;
  if (child.capture) {
    const auto ignore = [](const auto&...) {};
    const auto resolve = [listener](std::size_t, SocketDomain) -> Result<BorrowedFd> { return listener; };
    capture = std::make_unique<Capture>(loop, std::move(child.capture), std::vector{address}, resolve,
                                        Capture::Hooks{ignore, ignore, ignore, ignore});
  }
  FdWatcher end(loop, child.pidfd, [&](FdWatcher::Ready) { loop.stop(); });
  end.watch(FdWatcher::Interest::Readable);
  loop.run();
  if (value_or_exit(reap(child.pidfd)) != ExitStatus{}) fail("the worker failed");
}

double time_of_start(BorrowedFd listener, const ManagedAddress& address, bool captured) {
  const int port = captured ? address.address.port : 0;
  Loop loop;
  const Clock::time_point start = Clock::now();
  Child child = value_or_exit(spawn(this_program({"start", std::to_string(port)}, captured)));
  see_off(loop, child, listener, address);
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

double time_of_call(BorrowedFd listener, const ManagedAddress& address, bool captured) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) fail("make a pipe");
  const UniqueFd reads(ends[0]);
  UniqueFd writes(ends[1]);
  SpawnPlan plan = this_program({"calls"}, captured);
  plan.standard_output = writes;
  Loop loop;
  Child child = value_or_exit(spawn(plan));
  writes.reset();
  see_off(loop, child, listener, address);
  std::array<char, 64> text{};
  if (::read(reads.get(), text.data(), text.size() - 1) <= 0) fail("the worker said nothing");
  return std::strtod(text.data(), nullptr);
}

int run() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::listen(listener.get(), 64) != 0) fail("listen");  // which binds, too
  const std::string port = std::to_string(local_endpoint(listener).port);
  const ManagedAddress address{Transport::Stream,
                               std::get<TcpAddress>(value_or_exit(parse_listen_address("127.0.0.1:" + port)))};
  std::array<double, 2> starts{1e9, 1e9};
  for (int i = 0; i < 2 * kStarts; ++i) {
    double& quickest = starts[static_cast<std::size_t>(i % 2)];
    quickest = std::min(quickest, time_of_start(listener, address, i % 2 == 1));
  }
  std::array<double, 2> calls{1e9, 1e9};
  for (int i = 0; i < 2 * kRounds; ++i) {
    double& quickest = calls[static_cast<std::size_t>(i % 2)];
    quickest = std::min(quickest, time_of_call(listener, address, i % 2 == 1));
  }
  std::printf(R"({"start": %.0f, "start_captured": %.0f, "call": %.1f, "call_captured": %.1f})"
              "\n",
              starts[0], starts[1], calls[0], calls[1]);
  return 0;
}

}  // namespace
}  // namespace holdfast

int main(int count, char** words) {
  const std::string_view word = count > 1 ? words[1] : "";
  if (word == "start" && count == 3) return holdfast::bind_and_listen(std::atoi(words[2]));
  return word == "calls" ? holdfast::time_calls() : holdfast::run();
}
