#include "support/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace holdfast::test {

namespace {

Endpoint unix_endpoint(std::string_view path) {
  Endpoint result;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::min(path.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), size);
  if (path.starts_with('@')) address.sun_path[0] = '\0';
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + (path.starts_with('@') ? 0 : 1));
  std::memcpy(&result.address, &address, sizeof address);
  return result;
}

Endpoint ip_endpoint(std::string host, std::uint16_t port) {
  Endpoint result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&result.address, &v4, sizeof v4);
    result.length = sizeof v4;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&result.address, &v6, sizeof v6);
    result.length = sizeof v6;
  } else {
    ADD_FAILURE() << "not an address: " << host;
  }
  return result;
}

int wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd poll_fd{fd, events, 0};
  return ::poll(&poll_fd, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
}

void read_whoami(Response& response) {
  const nlohmann::json body = nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return;
  if (body.contains("slot") && body["slot"].is_number()) response.slot = body["slot"].get<int>();
  if (body.contains("pid") && body["pid"].is_number()) response.pid = body["pid"].get<pid_t>();
  if (body.contains("listener") && body["listener"].is_string())
    response.listener = body["listener"].get<std::string>();
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

Endpoint endpoint(std::string_view text) {
  if (text.starts_with("unix:")) return unix_endpoint(text.substr(5));
  const std::size_t colon = text.rfind(':');
  std::string host(text.substr(0, colon));
  std::uint16_t port = 0;
  if (colon != std::string_view::npos) std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "*" || host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return ip_endpoint(host, port);
}

std::string_view name_of(Ending ending) {
  switch (ending) {
    case Ending::Answered:
      return "answered";
    case Ending::Refused:
      return "refused";
    case Ending::Reset:
      return "reset before the answer";
    case Ending::TimedOut:
      return "no answer in time";
    case Ending::BadAnswer:
      return "bad answer";
  }
  return "?";
}

std::optional<Response> parse_response(std::string_view bytes) {
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return std::nullopt;
  Response response;
  const std::string head = lower(bytes.substr(0, head_end));
  if (head.starts_with("http/1.") && head.size() > 12) {
    std::from_chars(head.data() + 9, head.data() + 12, response.code);
  }
  response.is_last = head.find("\r\nconnection: close") != std::string::npos;
  std::size_t body_length = 0;
  constexpr std::string_view kLength = "\r\ncontent-length:";
  if (const std::size_t at = head.find(kLength); at != std::string::npos) {
    const std::size_t digits = head.find_first_of("0123456789", at + kLength.size());
    if (digits != std::string::npos) std::from_chars(head.data() + digits, head.data() + head.size(), body_length);
  }
  response.bytes = head_end + 4 + body_length;
  if (bytes.size() < response.bytes) return std::nullopt;
  response.body = bytes.substr(head_end + 4, body_length);
  read_whoami(response);
  return response;
}

std::string request_for(std::string_view path, std::string_view connection) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\nConnection: " + std::string(connection) + "\r\n\r\n";
}

int begin_connect(const Endpoint& target, const std::string& source) {
  const int fd = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (!source.empty()) {
    const Endpoint from = ip_endpoint(source, 0);
    const int on = 1;
    constexpr int kIpv6FreeBind = 78;  // IPV6_FREEBIND: sources that are routed to lo, but not configured one by one
    (void)::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (from.address.ss_family == AF_INET6) (void)::setsockopt(fd, IPPROTO_IPV6, kIpv6FreeBind, &on, sizeof on);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&from.address), from.length) != 0) {
      ADD_FAILURE() << "bind to the source " << source << ": " << std::strerror(errno);
    }
  }
  if (target.address.ss_family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.length) == 0) return fd;
  if (errno == EINPROGRESS) return fd;
  const int why = errno;
  ::close(fd);
  errno = why;
  return -1;
}

HttpClient::HttpClient(const Endpoint& target, const std::string& source) : fd_(begin_connect(target, source)) {
  if (fd_ < 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (wait_for(fd_, POLLOUT, Clock::now() + kPatience) <= 0) {
    close();
    ending_ = Ending::TimedOut;
  } else if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    close();
    ending_ = error == ECONNREFUSED ? Ending::Refused : Ending::Reset;
  }
}

HttpClient::~HttpClient() { close(); }

HttpClient::HttpClient(HttpClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ending_(other.ending_),
      closed_in_order_(other.closed_in_order_),
      received_(std::move(other.received_)) {}

void HttpClient::send(std::string_view path, std::string_view connection) { send_raw(request_for(path, connection)); }

void HttpClient::send_raw(std::string_view bytes) {
  // Small requests fit into an empty socket buffer; a peer that is gone shows itself when we read.
  if (fd_ >= 0) (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::optional<Response> HttpClient::receive(Duration patience) {
  if (fd_ < 0) return std::nullopt;
  const Clock::time_point deadline = Clock::now() + patience;
  for (;;) {
    if (std::optional<Response> response = parse_response(received_)) {
      received_.erase(0, response->bytes);
      ending_ = response->code == 0 ? Ending::BadAnswer : Ending::Answered;
      return response;
    }
    ending_ = Ending::TimedOut;
    if (wait_for(fd_, POLLIN, deadline) <= 0) return std::nullopt;
    char buffer[4096];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    ending_ = Ending::Reset;
    closed_in_order_ = size == 0 && received_.empty();
    if (size == 0 || (size < 0 && errno != EAGAIN)) return std::nullopt;
    if (size > 0) received_.append(buffer, static_cast<std::size_t>(size));
  }
}

std::optional<Response> HttpClient::get(std::string_view path) {
  send(path);
  return receive();
}

bool HttpClient::closed_by_peer(Duration patience) {
  const Clock::time_point deadline = Clock::now() + patience;
  while (fd_ >= 0) {
    if (wait_for(fd_, POLLIN, deadline) <= 0) return false;
    char buffer[4096];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN)) return true;
  }
  return true;
}

void HttpClient::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::optional<Response> get_once(const Endpoint& target, std::string_view path, const std::string& source) {
  HttpClient client(target, source);
  client.send(path, "close");
  return client.receive();
}

}  // namespace holdfast::test
