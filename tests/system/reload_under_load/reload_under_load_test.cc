// Fifty reloads and restarts while ten thousand connections are made and five hundred are kept open: nobody fails.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

constexpr int kRounds = 50 / kSlowness;
constexpr std::uint64_t kConnections = 10'000 / kSlowness;
constexpr unsigned kKeptOpen = 500 / kSlowness;

// Connections that are kept open, each with a request on it most of the time. A server that drains answers what it has been
// asked, says that this was the last answer, and closes; or it closes a connection that is idle. The client comes again, as every
// HTTP client does. A request that ends without its answer has failed, unless it crossed the close of an idle connection.
class KeptOpen {
 public:
  explicit KeptOpen(const Endpoint& target) : target_(target), sources_(ipv4_sources(kKeptOpen)) {
    for (const std::string& source : sources_) clients_.emplace_back(std::make_unique<HttpClient>(target, source));
    thread_ = std::thread([this] { work(); });
  }
  ~KeptOpen() { finish(); }
  KeptOpen(const KeptOpen&) = delete;
  KeptOpen& operator=(const KeptOpen&) = delete;

  void finish() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint64_t answered() const { return answered_; }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }
  [[nodiscard]] std::uint64_t crossed() const { return crossed_; }
  [[nodiscard]] std::uint64_t came_again() const { return came_again_; }

 private:
  void work() {
    while (!stopping_) {
      for (std::size_t i = 0; i < clients_.size(); i++) {
        if (clients_[i]->closed_by_peer(Duration::zero())) come_again(i);
        clients_[i]->send("/");
      }
      for (std::size_t i = 0; i < clients_.size(); i++) hear(i);
    }
  }
  void hear(std::size_t i) {
    std::optional<Response> response = clients_[i]->receive();
    if (!response && clients_[i]->closed_in_order()) {
      crossed_++;
      come_again(i);
      response = clients_[i]->get("/");
    }
    (response ? answered_ : failed_)++;
    if (!response || response->is_last) come_again(i);
  }
  void come_again(std::size_t i) {
    came_again_++;
    clients_[i] = std::make_unique<HttpClient>(target_, sources_[i]);
  }

  Endpoint target_;
  std::vector<std::string> sources_;
  std::vector<std::unique_ptr<HttpClient>> clients_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> crossed_{0};
  std::atomic<std::uint64_t> came_again_{0};
  std::thread thread_;
};

class ReloadUnderLoad : public testing::TestWithParam<const char*> {
 protected:
  void write(int round) {
    write_text(file_, "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\nintake = \"sdk\"\nplane = \"" +
                          std::string(GetParam()) +
                          "\"\nworkers = 2\ndrain-timeout = \"10m\"\nlinger = 60\ncommand = [\"" + whoami_program() +
                          "\"]\nenvironment = { ROUND = \"" + std::to_string(round) + "\" }\n");
  }

  TempDirectory directory_;
  std::string file_ = directory_ / "web.toml";
};
INSTANTIATE_TEST_SUITE_P(InPlane, ReloadUnderLoad, testing::Values("pass", "steer"),
                         [](const auto& plane) { return std::string(plane.param); });

TEST_P(ReloadUnderLoad, FiftyReloadsAndRestartsFailNobody) {
  write(0);
  const Supervisor supervisor(plan_of_file(file_), &directory_);
  supervisor.wait_until_serving();
  KeptOpen kept(supervisor.target());
  ASSERT_TRUE(eventually([&] { return kept.answered() >= kKeptOpen; }));
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  for (int round = 1; round <= kRounds; round++) {
    if (round % 2 == 0) write(round);
    const Ran ran = supervisor.tell(round % 2 == 0 ? "reload" : "restart", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << "round " << round << ": " << ran.errors;
  }
  EXPECT_TRUE(eventually([&] { return load.answered() >= kConnections; }));
  const LoadReport report = load.stop();
  kept.finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  EXPECT_EQ(kept.failed(), 0U);
  EXPECT_GE(kept.came_again(), kKeptOpen) << "the drains closed connections";
  // Each round closes up to all of them: who drops requests on the way shows, a request on its way to an idle connection does not.
  EXPECT_LE(kept.crossed(), kKeptOpen / 10) << "of " << kept.came_again();
  EXPECT_GE(report.connections(), kConnections);
  EXPECT_EQ(supervisor.errors().find("killed by signal"), std::string::npos)
      << "no worker was ended with clients on it";
  RecordProperty("kept_open_came_again", std::to_string(kept.came_again()));
  RecordProperty("kept_open_crossed", std::to_string(kept.crossed()));
  EXPECT_EQ(supervisor.status().restarts(), 2U * kRounds);
}

}  // namespace
}  // namespace holdfast::test
