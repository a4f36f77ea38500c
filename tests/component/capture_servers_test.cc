// Servers as their packages install them, captured: none of them was written for us. Those that are not installed are left out
// (script/bootstrap --interop).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <ostream>
#include <string>
#include <vector>

#include "component/captured_worker.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

// How a server is started in an empty directory.
struct Setting {
  std::string port;
  std::string directory;

  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }
};

struct Server {
  std::string name;
  std::string program;  // an absolute path
  std::function<std::vector<std::string>(const Setting&)> arguments;
  std::string request;
  std::string answer;  // how it begins
  std::size_t binds;   // how many sockets of ours it asks for
  std::vector<SocketDomain> domains;
};
void PrintTo(const Server& server, std::ostream* out) { *out << server.name; }

constexpr SocketDomain kInet = SocketDomain::Inet;
constexpr SocketDomain kInet6 = SocketDomain::Inet6;

constexpr const char* kGet = "GET / HTTP/1.0\r\n\r\n";
constexpr const char* kHttp = "HTTP/1.";

const std::vector<Server>& servers() {
  static const std::vector<Server> all{
      {"Python",
       "/usr/bin/python3",
       [](const Setting& s) {
         return std::vector<std::string>{"-m", "http.server", s.port};
       },
       kGet,
       kHttp,
       1,
       {kInet}},
      {"Gunicorn",
       "/usr/bin/gunicorn",
       [](const Setting& s) {
         (void)s.file("app.py", "def app(environ, start):\n  start('200 OK', [])\n  return [b'hello']\n");
         return std::vector<std::string>{"--bind", ":" + s.port, "app:app"};
       },
       kGet,
       kHttp,
       1,
       {kInet}},
      {"Uvicorn",
       "/usr/bin/uvicorn",
       [](const Setting& s) {
         (void)s.file("app.py",
                      "async def app(scope, receive, send):\n"
                      "  if scope['type'] != 'http': return\n"
                      "  await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
                      "  await send({'type': 'http.response.body', 'body': b'hello'})\n");
         return std::vector<std::string>{"--host", "0.0.0.0", "--port", s.port, "--lifespan", "off", "app:app"};
       },
       kGet,
       kHttp,
       1,
       {kInet}},
      {"StaticBusybox",
       "/usr/bin/busybox",
       [](const Setting& s) {
         (void)s.file("index.html", "hello");
         return std::vector<std::string>{"httpd", "-f", "-p", s.port};
       },
       kGet,
       kHttp,
       1,
       {kInet6}},
      {"Caddy",
       "/usr/bin/caddy",
       [](const Setting& s) {
         return std::vector<std::string>{"respond", "--listen", ":" + s.port, "hello"};
       },
       kGet,
       kHttp,
       1,
       {kInet6}},
      {"Nginx",
       "/usr/sbin/nginx",
       [](const Setting& s) {
         const std::string configuration =
             s.file("nginx.conf",
                    "daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\n"
                    "http { access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f;\n"
                    "uwsgi_temp_path u; scgi_temp_path s;\n"
                    "server { listen " +
                        s.port + "; listen [::]:" + s.port + "; return 204; } }\n");
         return std::vector<std::string>{"-e", "stderr", "-p", s.directory, "-c", configuration};
       },
       kGet,
       kHttp,
       2,
       {kInet, kInet6}},
      {"Lighttpd",
       "/usr/sbin/lighttpd",
       [](const Setting& s) {
         const std::string configuration =
             s.file("lighttpd.conf", "server.document-root = \"" + s.directory + "\"\nserver.port = " + s.port + "\n");
         (void)s.file("index.html", "hello");
         return std::vector<std::string>{"-D", "-f", configuration};
       },
       kGet,
       kHttp,
       1,
       {kInet}},
      {"Node",
       "/usr/bin/node",
       [](const Setting& s) {
         return std::vector<std::string>{
             "-e", "require('http').createServer((q, r) => r.end('hello')).listen(" + s.port + ")"};
       },
       kGet,
       kHttp,
       1,
       {kInet6}},
      {"Redis",
       "/usr/bin/redis-server",
       [](const Setting& s) {
         return std::vector<std::string>{"--port", s.port,   "--save", "",    "--protected-mode",
                                         "no",     "--bind", "*",      "-::*"};
       },
       "PING\r\nQUIT\r\n",
       "+PONG\r\n+OK",
       2,
       {kInet, kInet6}},
      {"Memcached",
       "/usr/bin/memcached",
       [](const Setting& s) { return std::vector<std::string>{"-p", s.port, "-U", "0", "-u", "nobody"}; },
       "version\r\nquit\r\n",
       "VERSION ",
       2,
       {kInet, kInet6}},
      {"Dnsmasq",
       "/usr/sbin/dnsmasq",
       [](const Setting& s) {
         return std::vector<std::string>{
             "--no-daemon", "--conf-file=/dev/null", "--port=" + s.port,         "--no-resolv",
             "--no-hosts",  "--pid-file=",           "--address=/test/192.0.2.1"};
       },
       // By TCP, each with its length before it: "x.test", type A.
       std::string("\0\x18\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01x\x04test\0\0\x01\0\x01", 26),
       std::string("\0\x28\x12\x34", 4),
       4,
       {kInet, kInet6}},
  };
  return all;
}

class CaptureServers : public testing::TestWithParam<Server> {};

UniqueFd client_of(std::uint16_t port, int family) {
  UniqueFd client(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{10, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  const bool connected = family == AF_INET ? ::connect(client.get(), reinterpret_cast<sockaddr*>(&v4), sizeof v4) == 0
                                           : ::connect(client.get(), reinterpret_cast<sockaddr*>(&v6), sizeof v6) == 0;
  EXPECT_TRUE(connected);
  return client;
}

std::string answer_to(const Server& server, std::uint16_t port, int family) {
  const UniqueFd client = client_of(port, family);
  EXPECT_EQ(::send(client.get(), server.request.data(), server.request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(server.request.size()));
  std::string answer;
  std::array<char, 4096> buffer{};
  while (answer.size() < server.answer.size()) {
    const ssize_t length = ::recv(client.get(), buffer.data(), buffer.size(), 0);
    if (length <= 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(length));
  }
  return answer;
}

// One socket of IPv6 alone serves both.
bool serves(const Server& server, int family) {
  const auto has = [&](SocketDomain domain) {
    return std::find(server.domains.begin(), server.domains.end(), domain) != server.domains.end();
  };
  return !has(kInet) || has(family == AF_INET ? kInet : kInet6);
}

TEST_P(CaptureServers, ServeOnOurListeners) {
  const Server& server = GetParam();
  if (!std::filesystem::exists(server.program)) GTEST_SKIP() << server.program << " is not installed";
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  TestListeners listeners({""});
  listeners.add("", Transport::Datagram);
  const TemporaryDirectory directory;
  std::filesystem::permissions(directory.path(), std::filesystem::perms::all);
  const Setting setting{listeners.port_text(), directory.path()};

  SpawnPlan plan = plan_of({server.program});
  for (const std::string& argument : server.arguments(setting)) plan.command.push_back(argument);
  plan.working_directory = directory.path();
  Loop loop;
  CapturedWorker worker(loop, listeners, std::move(plan));
  // Once it listens, it accepts what has come meanwhile.
  const auto is_up = [&] { return worker.captured.size() == server.binds && !worker.listened.empty(); };
  ASSERT_TRUE(run_until(loop, [&] { return is_up() || worker.ended(); }));
  ASSERT_FALSE(worker.ended()) << worker.output();

  for (const int family : {AF_INET, AF_INET6}) {
    if (!serves(server, family)) continue;
    // The server may still have to be answered while its client waits.
    std::future<std::string> answer =
        std::async(std::launch::async, [&, family] { return answer_to(server, listeners.port(), family); });
    EXPECT_TRUE(run_until(loop, [&] { return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
    EXPECT_THAT(answer.get(), StartsWith(server.answer)) << family;
  }
  EXPECT_EQ(listeners.sockets().contains({0, kInet}), server.domains.front() == kInet);
  EXPECT_THAT(worker.captured, SizeIs(server.binds));
  EXPECT_THAT(worker.others, Not(Contains(HasSubstr(":" + listeners.port_text()))));
  EXPECT_THAT(worker.failures, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Installed, CaptureServers, testing::ValuesIn(servers()),
                         [](const auto& server) { return server.param.name; });

}  // namespace
}  // namespace holdfast
