// What becomes of clients whose first bytes do not come in time.
#include <gmock/gmock.h>

#include "support/temp_directory.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

// Time runs out when the test says so: a reload takes it from all that wait.
class PrefaceTimeout : public testing::Test {
 protected:
  void write(const std::string& timeout) const {
    write_text(directory_ / "front.toml",
               "[supervisor]\nname = \"front\"\n[listeners.http]\naddress = \"127.0.0.1:0\"\n" + listener_ +
                   "preface-timeout = \"" + timeout + "\"\n[pools.web]\nintake = \"sdk\"\nworkers = 2\ncommand = [\"" +
                   whoami_program() + "\"]\n" + pool_);
  }
  std::unique_ptr<Supervisor> start(const std::string& listener, const std::string& pool) {
    listener_ = listener;
    pool_ = pool;
    write("1h");
    auto supervisor = std::make_unique<Supervisor>(plan_of_file(directory_ / "front.toml"));
    supervisor->wait_until_serving();
    return supervisor;
  }
  // Each sends what it has; answers once all of them wait.
  static std::vector<HttpClient> waiting(const Supervisor& supervisor, const std::vector<std::string>& bytes) {
    std::vector<HttpClient> clients;
    for (const std::string& each : bytes) {
      clients.emplace_back(supervisor.target());
      if (!each.empty()) clients.back().send_raw(each);
    }
    supervisor.wait_until("all wait", [&](const StatusView& status) { return status.waiting == bytes.size(); });
    return clients;
  }
  void run_out(const Supervisor& supervisor) const {
    write("1ms");
    const Ran ran = supervisor.tell("reload", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  }

 private:
  TempDirectory directory_;
  std::string listener_;
  std::string pool_;
};

TEST_F(PrefaceTimeout, AHeaderThatWasBegunIsNoClientsWordEvenWhereNoneIsRequired) {
  const auto supervisor = start("proxy-protocol = { optional-from = [\"127.0.0.0/8\"] }\n", "");
  std::vector<HttpClient> clients =
      waiting(*supervisor, {"PROXY TCP4 203.0.113.7 ", header_v2('\x21', '\x11', "").substr(0, 14), ""});
  run_out(*supervisor);
  EXPECT_TRUE(clients[0].closed_by_peer());
  EXPECT_TRUE(clients[1].closed_by_peer());
  const StatusView status = supervisor->wait_until_settled();
  EXPECT_EQ(status.refused, (std::map<std::string, std::uint64_t>{{"preface-timeout", 2}}));
  EXPECT_EQ(status.handed, 1u) << "who says nothing may wait for the server's word";
}

TEST_F(PrefaceTimeout, WhoWaitsForTheServersWordIsPlacedByTheNextKeyAndCounted) {
  const auto supervisor = start("", "key = [\"cookie(sid)\", \"remote-address\"]\n");
  std::vector<HttpClient> clients = waiting(*supervisor, {"", "GET / HTTP/1.1\r\n"});
  run_out(*supervisor);
  EXPECT_TRUE(clients[1].closed_by_peer()) << "half a head is a client that is too slow";
  const StatusView status = supervisor->wait_until_settled();
  EXPECT_EQ(status.refused, (std::map<std::string, std::uint64_t>{{"preface-timeout", 1}}));
  EXPECT_EQ(status.slot(static_cast<unsigned>(supervisor->route("127.0.0.1"))).handed, 1u);
  const auto json = nlohmann::json::parse(status.json);
  EXPECT_EQ(json["listeners"][0]["missing"], (nlohmann::json{{"silent", 1}}));
}

TEST_F(PrefaceTimeout, NobodyGoesPastARouteBySayingNothing) {
  const auto supervisor = start("routes = [{ when = { path-prefix = \"/private\" }, refuse = true }]\n", "");
  std::vector<HttpClient> clients = waiting(*supervisor, {""});
  run_out(*supervisor);
  EXPECT_TRUE(clients[0].closed_by_peer());
  EXPECT_EQ(supervisor->wait_until_settled().refused.at("preface-timeout"), 1u);
}

}  // namespace
}  // namespace holdfast::test
