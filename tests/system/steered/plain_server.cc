// A server that was not written for Holdfast, and starts in no time: one client at a time, by blocking calls. Over TCP
// it answers as whoami does, over UDP as examples/echo-udp.
//
//   plain_server capture [inet6]   binds the first address of HOLDFAST_LISTENERS; inet6: [::] at its port
//   plain_server listen-fds        takes the first inherited socket
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

constexpr int kFirstInherited = 3;

[[noreturn]] void give_up(const char* doing) {
  std::perror(doing);
  std::exit(1);
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// "main=127.0.0.1:8080,other=..." or "main=udp://:5353": the port at the end, and any of IPv4 unless an address stands before it.
int bind_first(std::string_view listeners, bool inet6) {
  std::string address(listeners.substr(0, listeners.find(',')));
  address.erase(0, address.find('=') + 1);
  const bool udp = address.starts_with("udp://");
  if (udp) address.erase(0, std::strlen("udp://"));
  const std::size_t colon = address.rfind(':');
  const auto port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = port;
  (void)inet_pton(AF_INET, address.substr(0, colon).c_str(), &v4.sin_addr);

  const int made = socket(inet6 ? AF_INET6 : AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
  const auto* const name = inet6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  if (bind(made, name, inet6 ? sizeof v6 : sizeof v4) != 0) give_up("bind");
  if (!udp && listen(made, 5) != 0) give_up("listen");
  return made;
}

void notify_ready() {
  constexpr std::string_view kReady = "READY=1";
  const std::string name = variable("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const int channel = socket(AF_UNIX, SOCK_DGRAM, 0);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (sendto(channel, kReady.data(), kReady.size(), 0, reinterpret_cast<sockaddr*>(&address), length) < 0)
    give_up("notify");
  close(channel);
}

void serve_connection(int client, const std::string& slot) {
  std::string request;
  std::array<char, 4096> bytes;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = recv(client, bytes.data(), bytes.size(), 0);
    if (size <= 0) return;
    request.append(bytes.data(), static_cast<std::size_t>(size));
  }
  const std::string body = R"({"slot": )" + slot + R"(, "pid": )" + std::to_string(getpid()) + "}";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  (void)!send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
}

void serve_datagram(int inbox, const std::string& slot) {
  std::array<char, 4096> bytes;
  sockaddr_storage client{};
  socklen_t length = sizeof client;
  auto* const name = reinterpret_cast<sockaddr*>(&client);
  const ssize_t size = recvfrom(inbox, bytes.data(), bytes.size(), 0, name, &length);
  if (size < 0) return;
  const std::string answer = "slot " + slot + ": " + std::string(bytes.data(), static_cast<std::size_t>(size));
  (void)!sendto(inbox, answer.data(), answer.size(), 0, name, length);
}

}  // namespace

int main(int argc, char** argv) {
  const bool inherits = argc > 1 && std::string_view(argv[1]) == "listen-fds";
  const bool inet6 = argc > 2 && std::string_view(argv[2]) == "inet6";
  const std::string slot = variable("HOLDFAST_SLOT");
  const int inbox = inherits ? kFirstInherited : bind_first(variable("HOLDFAST_LISTENERS"), inet6);
  if (inherits && variable("LISTEN_PID") != std::to_string(getpid())) give_up("LISTEN_PID");
  int type = 0;
  socklen_t length = sizeof type;
  if (getsockopt(inbox, SOL_SOCKET, SO_TYPE, &type, &length) != 0) give_up("the socket");
  notify_ready();
  for (;;) {
    if (type == SOCK_DGRAM) {
      serve_datagram(inbox, slot);
      continue;
    }
    const int client = accept(inbox, nullptr, nullptr);
    if (client < 0) continue;
    serve_connection(client, slot);
    close(client);
  }
}
