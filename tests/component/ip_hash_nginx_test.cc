// ip-hash promises to place every client where nginx's ip_hash places it, so that one can take the other's place. Here the real
// nginx is asked.
#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/placement_strategy.h"
#include "support/http_client.h"
#include "support/network_namespace.h"
#include "support/process.h"
#include "support/temp_directory.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace test;

constexpr const char* kNginx = "/usr/sbin/nginx";
constexpr unsigned kClients = 500;  // of each family

struct Server {
  std::uint32_t weight;
  bool down;
};

// The configuration of an nginx that stands in front of `servers`, each of which answers its number. The ports are those of a
// network of its own.
std::string nginx_configuration(const TempDirectory& directory, const std::vector<Server>& servers) {
  std::string upstream, answers;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const std::string address = "unix:" + (directory / ("server" + std::to_string(i)));
    upstream +=
        "server " + address + " weight=" + std::to_string(servers[i].weight) + (servers[i].down ? " down;" : ";");
    answers += "server { listen " + address + "; return 200 " + std::to_string(i) + "; }\n";
  }
  // In a user namespace there is nobody else whom nginx could make the owner of its directories.
  std::string text =
      "user root root; daemon off; master_process off; pid " + (directory / "pid") + "; error_log stderr;\n";
  text += "events { worker_connections 512; }\nhttp { access_log off;\n";
  for (const char* const kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    text += std::string(kind) + "_temp_path " + (directory / kind) + ";\n";
  }
  text += "upstream fleet { ip_hash; " + upstream + " }\n" + answers;
  return text +
         "server { listen 8080; listen [::]:8080; location / { proxy_pass http://fleet; } location = /ready { return "
         "200; } } }\n";
}

// Addresses of this machine: 127.0.0.0/8, and fd00::/16 in the network of the test.
std::vector<IpAddress> clients() {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  std::vector<IpAddress> addresses;
  for (unsigned i = 0; i < kClients; ++i) {
    addresses.push_back(IpAddress::v4(127U << 24 | (random() & 0x00fffffeU) | 2));
    std::array<std::uint8_t, 16> bytes{0xfd, 0x00};
    for (std::size_t b = 2; b < bytes.size(); ++b) bytes[b] = static_cast<std::uint8_t>(random());
    addresses.push_back(IpAddress::v6(bytes));
  }
  return addresses;
}

void expect_the_same_server(const std::vector<Server>& servers) {
  if (::access(kNginx, X_OK) != 0) GTEST_SKIP() << kNginx << " is not installed (Debian: nginx)";
  const NetworkNamespace network;
  if (!network.missing().empty()) GTEST_SKIP() << network.missing();

  const TempDirectory directory;
  write_text(directory / "nginx.conf", nginx_configuration(directory, servers));
  Process nginx({.command = {kNginx, "-c", directory / "nginx.conf", "-p", directory.path()},
                 .environment = {},
                 .output_file = directory / "out",
                 .error_file = directory / "err",
                 .open_files = {},
                 .terminal = {}});
  const Endpoint v4 = endpoint("127.0.0.1:8080"), v6 = endpoint("[::1]:8080");
  ASSERT_TRUE(eventually([&] { return !nginx.running() || get_once(v6, "/ready").has_value(); }));
  ASSERT_TRUE(nginx.running()) << text_of(directory / "err");

  std::vector<std::uint32_t> weights;
  std::vector<SlotLoad> slots;
  for (const Server& server : servers) {
    weights.push_back(server.weight);
    slots.push_back({.available = !server.down, .connections = 0});
  }
  PlacementStrategy strategy(Placement::IpHash, weights);
  std::vector<unsigned> hits(servers.size());
  for (const IpAddress& client : clients()) {
    const std::optional<Response> answer = get_once(client.is_v6() ? v6 : v4, "/", client.text());
    ASSERT_TRUE(answer) << client.text() << '\n' << text_of(directory / "err");
    const std::optional<SlotId> slot =
        strategy.choose({.hash = 0, .address = client, .text = {}, .held_by = {}}, slots, 0);
    ASSERT_TRUE(slot);
    ASSERT_EQ(answer->body, std::to_string(slot->value)) << client.text();
    ++hits[slot->value];
  }
  for (std::size_t i = 0; i < servers.size(); ++i) EXPECT_EQ(hits[i] == 0, servers[i].down) << i;
}

TEST(IpHashNginx, PlacesAsNginxDoes) { expect_the_same_server({{1, false}, {1, false}, {1, false}}); }

TEST(IpHashNginx, WalksPastAServerThatIsDownAsNginxDoes) {
  expect_the_same_server({{1, false}, {1, true}, {1, false}});
}

TEST(IpHashNginx, WeighsAsNginxDoes) { expect_the_same_server({{2, false}, {1, false}, {4, true}, {3, false}}); }

// A third of the walks finds no server in its steps; those are placed by nginx's round robin, and in our order of turns too.
TEST(IpHashNginx, GoesRoundWhereTheWalkEndsAsNginxDoes) {
  std::vector<Server> servers(40, Server{1, true});
  servers[3].down = servers[30].down = false;
  expect_the_same_server(servers);
}

}  // namespace
}  // namespace holdfast
