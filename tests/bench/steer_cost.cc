// What the steering program costs the kernel for each client, and what it costs to attach one.
//
// Three groups of UDP sockets at ports of their own: without a program, with one that answers a number, and with the
// whole table of 512 buckets. Datagrams are sent to each in turn, in batches; over loopback the kernel delivers a datagram,
// and so chooses its socket, within the call that sends it. What a batch to the third takes more than one to the first is
// the program's cost, for a listener of TCP runs the same program, once for each handshake. Prints one JSON object;
// times are nanoseconds, medians over the batches.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/group_address.h"
#include "core/steering_program.h"
#include "sys/reuseport.h"
#include "sys/unique_fd.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kMembers = 8;
constexpr unsigned kBatch = 64;                     // stays below the receive buffer of one socket
constexpr std::uint32_t kFirstSource = 0x7f010001;  // 127.1.0.1
constexpr unsigned kRounds = 4000;
constexpr unsigned kAttaches = 200;

template <class T>
T value_or_exit(Result<T> result) {
  if (result) return *std::move(result);
  (void)std::fprintf(stderr, "steer_cost: %s\n", result.error().message().c_str());
  std::exit(1);
}

void check(int status, const char* doing) {
  if (status == 0) return;
  std::perror(doing);
  std::exit(1);
}

struct Group {
  std::vector<UniqueFd> sockets;
  std::vector<UniqueFd> senders;  // connected to it, each from an address of its own
  std::vector<double> times;
};

// A plain socket with SO_REUSEPORT: without SO_LOCK_FILTER and without a program.
UniqueFd plain_socket(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  check(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return fd;
}

sockaddr_in name_of(const UniqueFd& fd) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  check(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return address;
}

Group make_group(std::span<const BpfInstruction> program) {
  Group group;
  group.sockets.push_back(plain_socket(0));
  const sockaddr_in address = name_of(group.sockets.front());
  while (group.sockets.size() < kMembers) group.sockets.push_back(plain_socket(ntohs(address.sin_port)));
  if (!program.empty()) (void)value_or_exit(attach_program(group.sockets.front(), program));
  for (unsigned i = 0; i < kBatch; ++i) {
    UniqueFd& sender = group.senders.emplace_back(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(kFirstSource + 259 * i);
    check(::bind(sender.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source), "bind");
    check(::connect(sender.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  }
  return group;
}

void send_batch(Group& group) {
  const char byte = 'x';
  const auto begin = Clock::now();
  for (const UniqueFd& sender : group.senders) (void)::send(sender.get(), &byte, 1, 0);
  const auto time = std::chrono::duration<double, std::nano>(Clock::now() - begin);
  group.times.push_back(time.count() / kBatch);
  for (const UniqueFd& socket : group.sockets) (void)discard_datagrams(socket);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<BpfInstruction> whole_program() {
  std::mt19937 random(1);
  SteeringTable members{};
  for (std::uint16_t& member : members) member = static_cast<std::uint16_t>(random() % kMembers);
  return compile_steering(members, KeyPrefix{}, HashKey{0x01234567, 0x89abcdef});
}

double attach_time(Group& group, std::span<const BpfInstruction> program) {
  std::vector<double> times;
  for (unsigned i = 0; i < kAttaches; ++i) {
    const auto begin = Clock::now();
    (void)value_or_exit(attach_program(group.sockets.front(), program));
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  return median(times);
}

int run() {
  const std::vector<BpfInstruction> whole = whole_program();
  std::array<Group, 3> groups = {make_group({}), make_group(constant_program(1)), make_group(whole)};
  for (unsigned round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < groups.size(); ++i) send_batch(groups[(round + i) % groups.size()]);
  }
  const double bare = median(groups[0].times);
  std::printf(R"({"bare": %.1f, "constant": %.1f, "program": %.1f, "cost": %.1f, "instructions": %zu, "attach": %.0f})"
              "\n",
              bare, median(groups[1].times), median(groups[2].times), median(groups[2].times) - bare, whole.size(),
              attach_time(groups[2], whole));
  return 0;
}

}  // namespace
}  // namespace holdfast

int main() { return holdfast::run(); }
