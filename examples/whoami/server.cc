#include "server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>
#include <variant>

namespace whoami {
namespace {

using namespace std::chrono_literals;

constexpr int kMaxEvents = 128;
constexpr int kMaxArrivals = 128;           // taken up before the open connections get their turn
constexpr std::size_t kMaxOut = 64 * 1024;  // of answers to pipelined requests, before they must be read
constexpr std::size_t kMaxSpare = 1024;     // clients kept for reuse
constexpr auto kLinger = 2s;                // how long a refused client may go on sending
constexpr int kSpreadSweeps = 64;           // looks at idle connections while their ends are spread over a drain
constexpr auto kIdleGrace = 500ms;          // after which a drain closes connections that were answered
constexpr auto kFirstRequestGrace = 2s;     // and those that have not asked yet
constexpr auto kExitMargin = 100ms;         // ahead of the supervisor's deadline
constexpr auto kOrphanTime = 10s;           // for open connections when the supervisor is gone

Time now() { return std::chrono::steady_clock::now(); }

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  (void)error;  // twenty digits hold every number
  out.append(digits.data(), end);
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape;
      (void)std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

// One buffer for every read: what a client sent stays in it only until it is served.
std::array<char, 16 * 1024> read_buffer;

}  // namespace

Server::Server(holdfast::Worker worker) : worker_(std::move(worker)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.ptr = nullptr;  // the worker's; clients have their address here
  (void)::epoll_ctl(epoll_, EPOLL_CTL_ADD, worker_.fd(), &wanted);

  const hf_identity& info = worker_.info();
  head_ = "{\"slot\":" + std::to_string(info.slot) + ",\"pid\":" + std::to_string(::getpid()) +
          ",\"generation\":" + std::to_string(info.generation) + ",\"remote\":\"";
  for (const hf_listener& listener : worker_.listeners())
    listeners_.push_back("\",\"listener\":" + json_text(listener.name));
  listeners_.emplace_back("\",\"listener\":\"\"");  // one newer than this worker
  for (std::size_t plane = 0; plane < planes_.size(); ++plane)
    planes_[plane] = ",\"plane\":" + json_text(hf_plane_text(static_cast<hf_plane>(plane))) + "}\n";
}

Server::~Server() { ::close(epoll_); }

int Server::run() {
  worker_.ready();
  std::array<epoll_event, kMaxEvents> ready;
  while (!is_finished()) {
    const int count = ::epoll_wait(epoll_, ready.data(), kMaxEvents, timeout());
    bool take = has_more_;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = ready[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        take = true;
      } else {
        on_client(*static_cast<Client*>(event.data.ptr), event.events);
      }
    }
    // From here on no event of this round refers to a client: they may be closed and reused.
    while (!timers_.empty() && timers_.begin()->first <= now()) on_timer(*timers_.begin()->second);
    if (take) take_up();
    if (!sweeps_.empty() && sweeps_.back() <= now()) close_idle();
  }
  if (open_.empty()) worker_.drained();
  return 0;
}

int Server::timeout() const {
  if (has_more_) return 0;
  std::optional<Time> next;
  if (!timers_.empty()) next = timers_.begin()->first;
  if (drain_deadline_) next = std::min(next.value_or(Time::max()), *drain_deadline_);
  if (!sweeps_.empty()) next = std::min(next.value_or(Time::max()), sweeps_.back());
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

bool Server::is_finished() const { return drain_deadline_ && (open_.empty() || now() >= *drain_deadline_); }

void Server::take_up() {
  has_more_ = true;
  for (int i = 0; i < kMaxArrivals; ++i) {
    holdfast::Event event = worker_.next();
    if (auto* arrival = std::get_if<holdfast::Arrival>(&event)) {
      on_arrival(std::move(*arrival));
    } else if (const auto* drain = std::get_if<holdfast::Drain>(&event)) {
      const bool first = !drain_deadline_;
      begin_drain(drain->deadline - kExitMargin);
      if (first) spread_out();
    } else if (const auto* fault = std::get_if<holdfast::Fault>(&event)) {
      (void)std::fprintf(stderr, "whoami: %.*s\n", static_cast<int>(fault->text.size()), fault->text.data());
    } else if (std::holds_alternative<holdfast::Gone>(event)) {
      (void)std::fprintf(stderr, "whoami: the supervisor is gone; finishing what is open\n");
      spreads_ = false;
      begin_drain(std::min(drain_deadline_.value_or(Time::max()), now() + kOrphanTime));
    } else {
      has_more_ = false;
      return;
    }
  }
}

std::string Server::proxy_text(const holdfast::Arrival& arrival) const {
  if (!worker_.is_proxied()) return "";
  std::string text = ",\"proxied\":true,\"local\":\"" + std::string(arrival.local().view()) + '"';
  const auto add = [&](const char* name, hf_detail_type detail) {
    const std::string_view value = worker_.detail(detail);
    if (!value.empty()) text += std::string(",\"") + name + "\":" + json_text(value);
  };
  add("authority", HF_DETAIL_AUTHORITY);
  add("alpn", HF_DETAIL_ALPN);
  add("unique_id", HF_DETAIL_UNIQUE_ID);
  add("aws_endpoint", HF_DETAIL_AWS_ENDPOINT);
  const auto add_number = [&](const char* name, hf_detail_type detail) {
    const std::string_view bytes = worker_.detail(detail);  // little-endian
    if (bytes.empty()) return;
    std::uint64_t number = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
    text += std::string(",\"") + name + "\":" + std::to_string(number);
  };
  add_number("azure_link", HF_DETAIL_AZURE_LINK);
  add_number("google_connection", HF_DETAIL_GOOGLE_CONNECTION);
  return text;
}

void Server::on_arrival(holdfast::Arrival arrival) {
  std::unique_ptr<Client> client;
  if (spare_.empty()) {
    client = std::make_unique<Client>();
  } else {
    client = std::move(spare_.back());
    spare_.pop_back();
  }
  client->connection = std::move(arrival.connection);
  client->remote = arrival.about.remote;
  client->id = arrival.about.id;
  client->listener = arrival.about.listener;
  client->plane = arrival.about.plane;
  client->proxy = proxy_text(arrival);
  client->index = open_.size();
  open_.push_back(std::move(client));
  read(*open_.back());  // the request is often there already
}

void Server::on_client(Client& client, std::uint32_t events) {
  switch (client.doing) {
    case Doing::Reading:
      read(client);
      return;
    case Doing::Lingering:
      drop_input(client);
      return;
    case Doing::Writing:
      if (send(client) == Sent::NotAll) return;
      client.doing = Doing::Reading;
      return advance(client);
    case Doing::Waiting:
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) close(client);
      return;
  }
}

void Server::on_timer(Client& client) {
  clear_timer(client);
  if (client.doing == Doing::Lingering) return close(client);
  client.out += client.delayed;
  client.delayed.clear();
  client.doing = Doing::Reading;
  advance(client);
}

void Server::read(Client& client) {
  const ssize_t size = ::recv(client.connection.fd(), read_buffer.data(), read_buffer.size(), MSG_DONTWAIT);
  if (size > 0) {
    client.in.append(read_buffer.data(), static_cast<std::size_t>(size));
    return advance(client);
  }
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return watch(client, EPOLLIN);
  close(client);
}

// Serves what was read and sends the answers together, until one of the two ends is the one to wait for.
void Server::advance(Client& client) {
  for (;;) {
    const Buffered buffered = serve_buffered(client);
    if (send(client) == Sent::NotAll) return;
    if (client.doing == Doing::Waiting) return watch(client, 0);
    if (client.after_answer == Persistence::Close) return finish(client);
    if (buffered == Buffered::MayHoldMore) continue;
    // An answer that was promised before the drain began said nothing of a close.
    if (is_to_go(client) && client.was_answered && client.in.empty()) return close(client);
    return watch(client, EPOLLIN);
  }
}

Server::Buffered Server::serve_buffered(Client& client) {
  std::size_t used = 0;
  Buffered buffered = Buffered::MayHoldMore;
  while (client.doing == Doing::Reading && client.after_answer == Persistence::KeepAlive &&
         client.out.size() < kMaxOut) {
    const Parsed parsed = parse_request(std::string_view(client.in).substr(used));
    if (parsed.outcome == Outcome::Incomplete) {
      buffered = Buffered::NeedsMore;
      break;
    }
    used += parsed.request.length;
    switch (parsed.outcome) {
      case Outcome::Complete:
        serve(client, parsed.request);
        break;
      case Outcome::TooLarge:
        refuse(client, "431 Request Header Fields Too Large");
        break;
      case Outcome::OtherVersion:
        refuse(client, "505 HTTP Version Not Supported");
        break;
      case Outcome::Malformed:
      case Outcome::Incomplete:
        refuse(client, "400 Bad Request");
        break;
    }
  }
  client.in.erase(0, used);
  return buffered;
}

void Server::serve(Client& client, const Request& request) {
  if (request.method != "GET" && request.method != "HEAD")
    return refuse(client, "405 Method Not Allowed\r\nAllow: GET, HEAD");
  client.after_answer = request.has_body || is_to_go(client) ? Persistence::Close : request.persistence;
  client.lingers = request.has_body;
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  if (path == "/slow") return serve_slow(client, request);
  if (path == "/crash") std::abort();
  if (path == "/ill" || path == "/well") is_well_ = path == "/well";
  if (path == "/healthz" && !is_well_) return refuse(client, "503 Service Unavailable");
  if (path == "/hang") {
    for (;;) ::pause();
  }
  if (path == "/exit") {
    const int code = query_number(request.target, "code");
    if (code < 0 || code > 255) return refuse(client, "400 Bad Request");
    client.after_answer = Persistence::Close;
    answer(client, request);
    return leave(client, code);
  }
  answer(client, request);
}

void Server::serve_slow(Client& client, const Request& request) {
  const int milliseconds = query_number(request.target, "ms");
  if (milliseconds < 0) return refuse(client, "400 Bad Request");
  const std::string before = std::exchange(client.out, {});
  answer(client, request);
  client.delayed = std::exchange(client.out, before);
  client.doing = Doing::Waiting;
  set_timer(client, now() + std::chrono::milliseconds(milliseconds));
}

void Server::answer(Client& client, const Request& request) {
  const holdfast::AddressText remote(client.remote);
  const std::string& listener = listeners_[std::min<std::size_t>(client.listener, listeners_.size() - 1)];
  const std::string& plane = planes_[client.plane];
  std::string& out = client.out;
  out += "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
  append_number(out, head_.size() + remote.view().size() + listener.size() + client.proxy.size() + plane.size());
  if (client.after_answer == Persistence::Close) {
    out += "\r\nConnection: close";
  } else if (request.is_http_1_0) {
    out += "\r\nConnection: keep-alive";
  }
  out += "\r\n\r\n";
  client.was_answered = true;
  if (request.method == "HEAD") return;
  out += head_;
  out += remote.view();
  out += listener;
  out += client.proxy;
  out += plane;
}

void Server::refuse(Client& client, std::string_view status) {
  client.after_answer = Persistence::Close;
  client.lingers = true;
  client.was_answered = true;
  client.out += "HTTP/1.1 ";
  client.out += status;
  client.out += "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}

// For /exit: the answer goes out, the rest of the process does not matter.
void Server::leave(const Client& client, int code) {
  (void)::send(client.connection.fd(), client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)::shutdown(client.connection.fd(), SHUT_RDWR);
  ::_exit(code);
}

Server::Sent Server::send(Client& client) {
  if (client.out.empty()) return Sent::All;
  const ssize_t size =
      ::send(client.connection.fd(), client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size == static_cast<ssize_t>(client.out.size())) {
    client.out.clear();
    return Sent::All;
  }
  if (size < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
    close(client);
    return Sent::NotAll;
  }
  client.out.erase(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  if (client.doing == Doing::Waiting) {  // the rest goes out with the answer that waits
    watch(client, 0);
  } else {
    client.doing = Doing::Writing;
    watch(client, EPOLLOUT);
  }
  return Sent::NotAll;
}

// The last answer is sent. A close while input is unread, or on its way, would make the kernel send a reset, and that
// can destroy the answer.
void Server::finish(Client& client) {
  if (!client.lingers && client.in.empty()) return close(client);
  (void)::shutdown(client.connection.fd(), SHUT_WR);
  client.doing = Doing::Lingering;
  set_timer(client, now() + kLinger);
  watch(client, EPOLLIN);
}

void Server::drop_input(Client& client) {
  const ssize_t size = ::recv(client.connection.fd(), read_buffer.data(), read_buffer.size(), MSG_DONTWAIT);
  if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) close(client);
}

void Server::close(Client& client) {
  clear_timer(client);
  // The supervisor may not have closed its copy yet, and until it has, our close ends neither the connection nor its
  // place in the epoll set.
  if (client.is_registered) (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, client.connection.fd(), nullptr);
  client.connection.close();
  std::unique_ptr<Client> closed = std::move(open_[client.index]);
  if (client.index + 1 != open_.size()) {
    open_[client.index] = std::move(open_.back());
    open_[client.index]->index = client.index;
  }
  open_.pop_back();
  if (spare_.size() >= kMaxSpare) return;
  closed->doing = Doing::Reading;
  closed->after_answer = Persistence::KeepAlive;
  closed->lingers = closed->was_answered = closed->is_registered = false;
  closed->in.clear();
  closed->out.clear();
  closed->delayed.clear();
  spare_.push_back(std::move(closed));
}

void Server::watch(Client& client, std::uint32_t events) {
  if (client.is_registered && client.watched == events) return;
  epoll_event wanted{};
  wanted.events = events;
  wanted.data.ptr = &client;
  if (::epoll_ctl(epoll_, client.is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client.connection.fd(), &wanted) < 0)
    return close(client);  // ENOSPC, ENOMEM: one connection's failure costs one connection
  client.is_registered = true;
  client.watched = events;
}

void Server::set_timer(Client& client, Time time) {
  clear_timer(client);
  client.timer = timers_.emplace(time, &client);
  client.has_timer = true;
}

void Server::clear_timer(Client& client) {
  if (std::exchange(client.has_timer, false)) timers_.erase(client.timer);
}

void Server::begin_drain(Time deadline) {
  if (!drain_deadline_) sweeps_ = {now() + kFirstRequestGrace, now() + kIdleGrace};
  drain_deadline_ = deadline;
}

// Connections go at moments of their own, up to the latest of them; idle ones are looked at every now and then until it.
void Server::spread_out() {
  const Time start = now();
  Time latest = start;
  for (const std::unique_ptr<Client>& client : open_) latest = std::max(latest, worker_.close_at(client->id));
  spreads_ = latest > start;
  for (int i = 1; spreads_ && i <= kSpreadSweeps; ++i) sweeps_.push_back(start + (latest - start) * i / kSpreadSweeps);
  std::sort(sweeps_.begin(), sweeps_.end(), std::greater<>());
}

bool Server::is_to_go(const Client& client) const {
  return drain_deadline_ && (!spreads_ || worker_.close_at(client.id) <= now());
}

// Looks once more whether a request has come: what is still there to be answered is answered.
void Server::close_idle() {
  sweeps_.pop_back();
  const bool fresh_too = sweeps_.empty();
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (i >= open_.size()) continue;
    Client& client = *open_[i];
    if (!is_to_go(client) || client.doing != Doing::Reading || !client.in.empty() ||
        !(client.was_answered || fresh_too))
      continue;
    char byte = 0;
    if (::recv(client.connection.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
      read(client);
    } else {
      close(client);
    }
  }
}

}  // namespace whoami
