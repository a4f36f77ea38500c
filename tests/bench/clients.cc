#include "clients.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace holdfast {
namespace {

constexpr std::uint32_t kSignals = UINT32_MAX;        // the signalfd's mark in the epoll set
constexpr std::chrono::milliseconds kLookPeriod{20};  // for time limits and the stop file
constexpr std::string_view kSource = "{source}";
constexpr std::size_t kMostReserved = 10'000'000;

std::string request_text(const LoadOptions& options, std::uint32_t source) {
  const bool once = options.mode == LoadOptions::Mode::Short;
  std::string field = options.field.empty() ? "" : options.field + "\r\n";
  if (const std::size_t at = field.find(kSource); at != std::string::npos)
    field.replace(at, kSource.size(), std::to_string(source));
  return "GET " + options.path + " HTTP/1.1\r\nHost: localhost\r\n" + field + (once ? "Connection: close\r\n" : "") +
         "\r\n";
}

std::vector<std::string> request_texts(const LoadOptions& options) {
  const bool differ = options.field.find(kSource) != std::string::npos;
  std::vector<std::string> texts;
  for (std::uint32_t source = 0; source < (differ ? options.sources : 1); ++source)
    texts.push_back(request_text(options, source));
  return texts;
}

// PROXY, TCP over IPv4, from the source to 192.0.2.1 port 443 (RFC 5737 has the address for examples).
std::array<char, 28> proxy_header(std::uint32_t source) {
  std::array<char, 28> header{'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x21, 0x11, 0, 12};
  const SocketAddress address = source_address(source);
  sockaddr_in name{};
  std::memcpy(&name, &address.storage, sizeof name);
  std::memcpy(&header[16], &name.sin_addr, sizeof name.sin_addr);
  const std::uint32_t destination = htonl(0xc0000201);
  std::memcpy(&header[20], &destination, sizeof destination);
  const std::array<std::uint16_t, 2> ports{htons(40000), htons(443)};
  std::memcpy(&header[24], ports.data(), sizeof ports);
  return header;
}

int signals_as_descriptor() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

// What an error of connect, send or recv means for the connection.
Failure failure_of(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
      return Failure::Refused;
    case ECONNRESET:
    case EPIPE:
      return Failure::Reset;
    case EAGAIN:
      return Failure::BacklogFull;
    case ETIMEDOUT:
      return Failure::Timeout;
    default: {
      static bool explained = false;
      if (!explained) std::fprintf(stderr, "holdfast-load: a connection failed here: %s\n", std::strerror(error));
      explained = true;
      return Failure::Local;
    }
  }
}

}  // namespace

Clients::Clients(const LoadOptions& options, Report& report)
    : options_(options),
      report_(report),
      requests_(request_texts(options)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      signals_(signals_as_descriptor()),
      clients_(options.mode == LoadOptions::Mode::Hold ? options.limit : options.at_a_time),
      slot_of_source_(options.sources, -1) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kSignals;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, signals_, &event);
  unused_.reserve(clients_.size());
  for (std::size_t index = clients_.size(); index > 0; --index)
    unused_.push_back(static_cast<std::uint32_t>(index - 1));
  report_.restart_measuring(std::min<std::size_t>(options.limit, kMostReserved));
}

Clients::~Clients() {
  for (std::uint32_t index = 0; index < clients_.size(); ++index) close(index);
  ::close(signals_);
  ::close(epoll_);
}

std::chrono::nanoseconds Clients::run() {
  began_ = last_answer_ = Clock::now();
  next_look_ = began_ + kLookPeriod;
  measuring_ = options_.mode != LoadOptions::Mode::Keep;
  std::array<epoll_event, 256> events;
  while (true) {
    start_what_is_due();
    if (finished()) break;
    const int ready =
        epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(kLookPeriod.count()));
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      on_event(event.data.u32, event.events);
    }
    const Clock::time_point now = Clock::now();
    if (now >= next_look_) look_around(now);
  }
  for (const Client& client : clients_) {
    if (client.state == Client::State::Connecting || client.state == Client::State::Awaiting) report_.on_abandoned();
  }
  return last_answer_ - began_;
}

// Short and Hold: connections until the limit, at most at_a_time under way. Keep: one connection for each client, ever.
void Clients::start_what_is_due() {
  const std::uint64_t connections = options_.mode == LoadOptions::Mode::Keep ? options_.at_a_time : options_.limit;
  while (stopping_ == Stopping::No && under_way_ < options_.at_a_time && !unused_.empty() &&
         report_.started() < connections) {
    // A target that refuses at once would keep us in this loop.
    if (const Clock::time_point now = Clock::now(); now >= next_look_) look_around(now);
    const std::uint32_t index = unused_.back();
    unused_.pop_back();
    start(index);
  }
  if (next_announcement_ == Announcement::UnderWay &&
      report_.requests() >= std::min<std::uint64_t>(options_.at_a_time, connections)) {
    announce("under_way", report_.requests());
    next_announcement_ = Announcement::Holding;
  }
  if (options_.mode == LoadOptions::Mode::Hold && next_announcement_ == Announcement::Holding && under_way_ == 0) {
    announce("holding", held_);
    next_announcement_ = Announcement::None;
  }
}

void Clients::start(std::uint32_t index) {
  Client& client = clients_[index];
  client.source = static_cast<std::uint32_t>(report_.started() % options_.sources);
  client.filled = 0;
  client.state = Client::State::Connecting;
  ++under_way_;
  report_.on_started();
  if (const std::optional<Failure> failure = open(client)) return fail(index, *failure);
  send_request(client, index, EPOLL_CTL_ADD);
}

std::optional<Failure> Clients::open(Client& client) {
  const Target& target = options_.target;
  client.fd = socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client.fd < 0) return failure_of(errno);
  if (target.has_many_sources()) {
    const int yes = 1;
    setsockopt(client.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    const SocketAddress source = source_address(client.source);
    if (bind(client.fd, source.get(), source.length) < 0) return failure_of(errno);
  }
  client.began = Clock::now();
  const SocketAddress& address = target.address();
  if (connect(client.fd, address.get(), address.length) < 0 && errno != EINPROGRESS) return failure_of(errno);
  return std::nullopt;
}

const std::string& Clients::request_of(const Client& client) const {
  return requests_[client.source % requests_.size()];
}

// What a connection begins with.
ssize_t Clients::send_first(const Client& client) const {
  const std::string& request = request_of(client);
  if (!options_.proxied) return send(client.fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::array<char, 28> header = proxy_header(client.source);
  std::array<iovec, 2> parts{};
  parts[0] = {header.data(), header.size()};
  parts[1] = {const_cast<char*>(request.data()), request.size()};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return sendmsg(client.fd, &message, MSG_NOSIGNAL);
}

// Connecting -> Awaiting, or the client stays Connecting until it is writable. `operation`: whether it is in the epoll
// set yet.
void Clients::send_request(Client& client, std::uint32_t index, int operation) {
  const ssize_t sent = send_first(client);
  if (sent < 0 && errno == EAGAIN) return watch(index, EPOLLOUT, operation);
  if (sent < 0) return fail(index, failure_of(errno));
  on_sent(client);
  watch(index, EPOLLIN, operation);
}

// On a connection that is in the epoll set already, and has no request under way that could fill its buffer.
void Clients::send_next_request(Client& client, std::uint32_t index) {
  const std::string& request = request_of(client);
  const ssize_t sent = send(client.fd, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent < 0) return fail(index, failure_of(errno));
  on_sent(client);
}

void Clients::on_sent(Client& client) {
  client.state = Client::State::Awaiting;
  client.filled = 0;
  report_.on_request();
}

void Clients::watch(std::uint32_t index, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = index;
  if (epoll_ctl(epoll_, operation, clients_[index].fd, &event) < 0) fail(index, failure_of(errno));
}

void Clients::on_event(std::uint32_t index, std::uint32_t events) {
  if (index == kSignals) {
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      stopping_ = stopping_ == Stopping::No ? Stopping::Finish : Stopping::Abandon;
    }
    return;
  }
  Client& client = clients_[index];
  switch (client.state) {
    case Client::State::Unused:
      return;
    case Client::State::Connecting: {
      int error = 0;
      socklen_t length = sizeof(error);
      getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) return fail(index, failure_of(error));
      if ((events & EPOLLOUT) != 0) send_request(client, index, EPOLL_CTL_MOD);
      return;
    }
    case Client::State::Awaiting:
      return on_readable(client, index);
    case Client::State::Held:  // it has had its answer, so whatever comes now is the end
      report_.on_closed_while_held();
      --held_;
      return close(index);
  }
}

void Clients::on_readable(Client& client, std::uint32_t index) {
  const ssize_t count = recv(client.fd, client.bytes.data() + client.filled, client.bytes.size() - client.filled, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count < 0) return fail(index, failure_of(errno));
  if (count == 0) return fail(index, Failure::ClosedEarly);
  client.filled += static_cast<std::uint32_t>(count);

  const auto parsed = read_answer({client.bytes.data(), client.filled});
  if (const Answer* answer = std::get_if<Answer>(&parsed)) return on_answer(client, index, *answer);
  const bool full = client.filled == client.bytes.size();
  if (std::holds_alternative<Malformed>(parsed) || full) fail(index, Failure::BadAnswer);
}

void Clients::on_answer(Client& client, std::uint32_t index, const Answer& answer) {
  const bool wanted = answer.status / 100 == 2 && answer.size == client.filled;
  if (!wanted || !kept_its_slot(client, answer)) return fail(index, Failure::BadAnswer);
  last_answer_ = Clock::now();
  report_.on_answered(last_answer_ - client.began);
  if (answer.slot) report_.on_slot(*answer.slot);

  if (options_.mode == LoadOptions::Mode::Short) {
    --under_way_;
    return close(index);
  }
  if (options_.mode == LoadOptions::Mode::Hold) {
    --under_way_;
    client.state = Client::State::Held;
    ++held_;
    return;
  }
  if (!measuring_) {
    // The warm-up is one answer for each client; the measure begins with everybody at once.
    client.state = Client::State::Held;
    --under_way_;
    ++held_;
    ++warm_;
    return begin_measuring_if_warm();
  }
  if (!may_request()) {
    --under_way_;
    return close(index);
  }
  client.began = last_answer_;
  send_next_request(client, index);
}

// Answers false only for an answer without a slot where slots are checked; a change of slot is counted, not a failure.
bool Clients::kept_its_slot(const Client& client, const Answer& answer) {
  if (options_.stickiness == Report::Stickiness::Ignored) return true;
  if (!answer.slot) return false;
  int& first = slot_of_source_[client.source];
  if (first < 0) first = static_cast<int>(*answer.slot);
  if (first != static_cast<int>(*answer.slot)) report_.on_sticky_violation();
  return true;
}

void Clients::begin_measuring_if_warm() {
  if (measuring_ || warm_ < clients_.size()) return;
  measuring_ = true;
  report_.restart_measuring(std::min<std::size_t>(options_.limit, kMostReserved));
  began_ = last_answer_ = Clock::now();
  announce("measuring", held_);
  for (std::uint32_t index = 0; index < clients_.size(); ++index) {
    Client& client = clients_[index];
    if (client.state != Client::State::Held) continue;
    --held_;
    ++under_way_;
    client.began = Clock::now();
    send_next_request(client, index);
  }
}

void Clients::fail(std::uint32_t index, Failure failure) {
  report_.on_failed(failure);
  --under_way_;
  close(index);
  if (options_.mode == LoadOptions::Mode::Keep && !measuring_) {
    ++warm_;
    begin_measuring_if_warm();
  }
}

void Clients::close(std::uint32_t index) {
  Client& client = clients_[index];
  if (client.fd >= 0) ::close(client.fd);
  client.fd = -1;
  if (client.state == Client::State::Unused) return;
  client.state = Client::State::Unused;
  unused_.push_back(index);
}

void Clients::look_around(Clock::time_point now) {
  next_look_ = now + kLookPeriod;
  for (std::uint32_t index = 0; index < clients_.size(); ++index) {
    const Client::State state = clients_[index].state;
    const bool pending = state == Client::State::Connecting || state == Client::State::Awaiting;
    if (pending && now - clients_[index].began >= options_.timeout) fail(index, Failure::Timeout);
  }
  const bool stop_wanted = !options_.stop_file.empty() && access(options_.stop_file.c_str(), F_OK) == 0;
  if (stopping_ == Stopping::No && (stop_wanted || now - began_ >= options_.time_limit)) stopping_ = Stopping::Finish;
}

void Clients::announce(const char* what, std::uint64_t count) {
  if (options_.announce == LoadOptions::Announce::Nothing) return;
  std::printf("{\"%s\":%llu}\n", what, static_cast<unsigned long long>(count));
  std::fflush(stdout);
}

bool Clients::may_request() const { return stopping_ == Stopping::No && report_.requests() < options_.limit; }

bool Clients::finished() const {
  if (stopping_ == Stopping::Abandon) return true;
  if (under_way_ > 0) return false;
  if (stopping_ == Stopping::Finish) return true;
  switch (options_.mode) {
    case LoadOptions::Mode::Hold:
      return report_.started() >= options_.limit && held_ == 0;
    case LoadOptions::Mode::Short:
      return report_.started() >= options_.limit;
    case LoadOptions::Mode::Keep:
      return report_.started() >= options_.at_a_time;
  }
  return true;
}

}  // namespace holdfast
