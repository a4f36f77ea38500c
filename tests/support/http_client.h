#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>

#include "support/eventually.h"

namespace holdfast::test {

// Where a server listens, in the text form of `-l` and of `status`. Every-address forms mean this machine.
struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
};
[[nodiscard]] Endpoint endpoint(std::string_view text);

// How an attempt to get an answer ended.
enum class Ending {
  Answered,
  Refused,    // nobody listens
  Reset,      // connected, and cut (or closed) before the whole answer came
  TimedOut,   // no whole answer in time
  BadAnswer,  // something that is not an HTTP answer
};
[[nodiscard]] std::string_view name_of(Ending ending);

struct Response {
  int code = 0;
  std::string body;
  std::size_t bytes = 0;  // of the whole answer

  bool is_last = false;  // it says "Connection: close"

  // What whoami tells of itself in the body.
  int slot = -1;
  pid_t pid = -1;
  std::string listener;
};
// The first HTTP answer in `bytes`, if it is whole (it needs a Content-Length).
[[nodiscard]] std::optional<Response> parse_response(std::string_view bytes);
[[nodiscard]] std::string request_for(std::string_view path, std::string_view connection);

// A socket that connects to `target` from `source` (an address of this machine; empty: the kernel's choice).
// Non-blocking, close-on-exec. -1 if the kernel refused at once; errno says why.
[[nodiscard]] int begin_connect(const Endpoint& target, const std::string& source);

// One connection, used in a blocking way with time limits.
class HttpClient {
 public:
  // Connects; `connected()` says whether it worked.
  explicit HttpClient(const Endpoint& target, const std::string& source = "");
  ~HttpClient();
  HttpClient(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  HttpClient& operator=(HttpClient&&) = delete;

  [[nodiscard]] bool connected() const { return fd_ >= 0; }
  [[nodiscard]] Ending ending() const { return ending_; }  // of the last thing tried
  // Whether it ended between two answers and not by a reset.
  [[nodiscard]] bool closed_in_order() const { return closed_in_order_; }
  void send(std::string_view path, std::string_view connection = "keep-alive");
  void send_raw(std::string_view bytes);
  // The next answer on this connection. Nothing: see `ending()`.
  [[nodiscard]] std::optional<Response> receive(Duration patience = kPatience);
  [[nodiscard]] std::optional<Response> get(std::string_view path);
  // Whether the other side has closed or cut it within `patience`.
  [[nodiscard]] bool closed_by_peer(Duration patience = kPatience);
  // Gives the connection up without a word to the other side's request.
  void close();

 private:
  int fd_ = -1;
  Ending ending_ = Ending::Refused;
  bool closed_in_order_ = false;
  std::string received_;
};

// Connects, asks once, and closes.
[[nodiscard]] std::optional<Response> get_once(const Endpoint& target, std::string_view path,
                                               const std::string& source = "");

}  // namespace holdfast::test
