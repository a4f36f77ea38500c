#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "core/managed_address.h"
#include "support/own_port.h"
#include "sys/sockets.h"
#include "sys/spawn.h"
#include "worker/capture.h"

namespace holdfast {

inline constexpr int kTestBacklog = 64;

// The owner's side of a Capture: addresses on a port of their own, and for each a socket of each domain, made when a
// worker asks for it.
class TestListeners {
 public:
  using Key = std::pair<std::size_t, SocketDomain>;

  // Of hosts ("127.0.0.1"), all at one port.
  explicit TestListeners(const std::vector<std::string>& hosts, Transport transport = Transport::Stream) {
    for (const std::string& host : hosts) add(host, transport);
  }
  void add(const std::string& host, Transport transport) {
    const Result<ListenAddress> parsed = parse_listen_address(host + ":" + port_text());
    if (!parsed) std::abort();
    const TcpAddress address = std::get<TcpAddress>(*parsed);
    const std::size_t listener = managed_.size();
    UniqueFd fd = bound(transport, address, own_domain(address));
    managed_.push_back({transport, address});
    sockets_.emplace(Key{listener, own_domain(address)}, std::move(fd));
  }

  [[nodiscard]] const std::vector<ManagedAddress>& managed() const { return managed_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string port_text() const { return std::to_string(port_); }
  [[nodiscard]] const std::map<Key, UniqueFd>& sockets() const { return sockets_; }
  [[nodiscard]] BorrowedFd socket(std::size_t listener, SocketDomain domain) const {
    return sockets_.at({listener, domain});
  }

  Result<BorrowedFd> resolve(std::size_t listener, SocketDomain domain) {
    const Key key{listener, domain};
    if (!sockets_.contains(key)) {
      const ManagedAddress& managed = managed_[listener];
      sockets_.emplace(key, bound(managed.transport, managed.address, domain));
    }
    return BorrowedFd(sockets_.at(key));
  }

 private:
  static SocketDomain own_domain(const TcpAddress& address) {
    return address.family == TcpAddress::Family::V4 ? SocketDomain::Inet : SocketDomain::Inet6;
  }

  static UniqueFd bound(Transport transport, const TcpAddress& address, SocketDomain domain) {
    const bool stream = transport == Transport::Stream;
    const int family = domain == SocketDomain::Inet ? AF_INET : AF_INET6;
    UniqueFd fd(::socket(family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int yes = 1;
    const int v6_only = address.family == TcpAddress::Family::V6 ? 1 : 0;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    sockaddr_storage name{};
    socklen_t length = 0;
    if (domain == SocketDomain::Inet) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(address.port);
      v4.sin_addr.s_addr = htonl(address.address.word(0));
      std::memcpy(&name, &v4, length = sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(address.port);
      if (address.family != TcpAddress::Family::DualStack) {
        std::memcpy(&v6.sin6_addr, address.address.bytes().data(), sizeof v6.sin6_addr);
      }
      std::memcpy(&name, &v6, length = sizeof v6);
    }
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) std::abort();
    if (stream && ::listen(fd.get(), kTestBacklog) != 0) std::abort();
    return fd;
  }

  const std::uint16_t port_ = test::own_port();
  std::vector<ManagedAddress> managed_;
  std::map<Key, UniqueFd> sockets_;
};

// A program whose binds are answered from `listeners`, and what the hooks heard.
class CapturedWorker {
 public:
  CapturedWorker(Loop& loop, TestListeners& listeners, SpawnPlan plan)
      : CapturedWorker(
            loop, listeners.managed(), std::move(plan),
            [&listeners](std::size_t listener, SocketDomain domain) { return listeners.resolve(listener, domain); }) {}
  CapturedWorker(Loop& loop, std::vector<ManagedAddress> managed, SpawnPlan plan, Capture::Resolver resolver)
      : CapturedWorker(loop, std::move(managed), start(std::move(plan)), std::move(resolver)) {}

  struct Started {
    Child child;
    UniqueFd output;
  };
  CapturedWorker(Loop& loop, std::vector<ManagedAddress> managed, Started worker, Capture::Resolver resolver)
      : loop_(loop), output_(std::move(worker.output)), child_(std::move(worker.child)) {
    capture_ = std::make_unique<Capture>(
        loop, std::move(child_.capture), std::move(managed), std::move(resolver),
        Capture::Hooks{.on_captured = [this](std::size_t listener, pid_t) { captured.push_back(listener); },
                       .on_listen = [this](std::size_t listener, pid_t) { listened.push_back(listener); },
                       .on_other_bind = [this](const std::string& address) { others.push_back(address); },
                       .on_failed = [this](const Error& error) { failures.push_back(error); }});
  }
  ~CapturedWorker() {
    if (ended_) return;
    signal_group(child_.pid, SIGKILL);
    (void)end();
  }
  CapturedWorker(const CapturedWorker&) = delete;
  CapturedWorker& operator=(const CapturedWorker&) = delete;

  [[nodiscard]] const Child& child() const { return child_; }
  [[nodiscard]] Capture& capture() { return *capture_; }
  void stop_capturing() { capture_.reset(); }

  [[nodiscard]] bool ended() const { return is_readable(child_.pidfd); }
  // Answers its calls until it has ended. Its output, and "EXIT ..." if it did not end well.
  [[nodiscard]] std::string output() {
    const ExitStatus status = end();
    std::string text = read_all(output_);
    if (status != ExitStatus{}) text += "EXIT " + to_text(status);
    return text;
  }
  [[nodiscard]] std::vector<std::string> lines() {
    std::vector<std::string> result;
    std::istringstream text(output());
    for (std::string line; std::getline(text, line);) result.push_back(line);
    return result;
  }
  // Answers its calls until it has written a line.
  [[nodiscard]] std::string line() {
    const auto is_whole = [this] {
      pollfd state{output_.get(), POLLIN, 0};
      char c = 0;
      while (::poll(&state, 1, 0) == 1 && ::read(output_.get(), &c, 1) == 1) {
        if (c == '\n') return true;
        line_ += c;
      }
      return false;
    };
    if (!run_until(loop_, is_whole)) ADD_FAILURE() << "no line came, only: " << line_;
    return std::exchange(line_, {});
  }

  std::vector<std::size_t> captured;
  std::vector<std::size_t> listened;
  std::vector<std::string> others;
  std::vector<Error> failures;

 private:
  static bool is_readable(BorrowedFd fd) {
    pollfd state{fd.get(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
  }

  static Started start(SpawnPlan plan) {
    Pipe output = make_pipe();
    plan.capture = true;
    plan.standard_output = output.write;
    plan.standard_error = output.write;
    Result<Child> child = spawn(plan);
    if (child) return {*std::move(child), std::move(output.read)};
    ADD_FAILURE() << child.error().message();
    std::abort();
  }

  ExitStatus end() {
    ExitStatus status{-1, 0, false};
    const bool ended = run_until(loop_, [&] {
      const Result<std::optional<ExitStatus>> reaped = reap(child_.pidfd);
      if (!reaped || !*reaped) return false;
      status = **reaped;
      return true;
    });
    ended_ = true;
    if (ended) return status;
    ADD_FAILURE() << "the worker does not end";
    std::abort();
  }

  Loop& loop_;
  UniqueFd output_;
  Child child_;
  std::unique_ptr<Capture> capture_;
  std::string line_;
  bool ended_ = false;
};

inline bool has_v6() { return listen_on(TcpAddress{TcpAddress::Family::V6, IpAddress{}, 0}, 1).has_value(); }

inline SpawnPlan plan_of(std::vector<std::string> command) {
  SpawnPlan plan;
  plan.command = std::move(command);
  plan.environment = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}, {"PYTHONUNBUFFERED", "1"}, {"HOME", "/tmp"}};
  return plan;
}

}  // namespace holdfast
