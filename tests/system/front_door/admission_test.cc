// Who is let in: lists of addresses, and limits for each source.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <filesystem>

#include "support/eventually.h"
#include "support/temp_directory.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

bool is_served(const Supervisor& supervisor, const std::string& source) {
  return get_once(supervisor.target(), "/", source).has_value();
}

// As an editor does it: the new file takes the place of the old one in one step.
void replace(const std::string& path, const std::string& text) {
  write_text(path + ".new", text);
  std::filesystem::rename(path + ".new", path);
}

TEST(Admission, AListThatChangesIsInForceAnewAndOneWithAMistakeIsNot) {
  const TempDirectory directory;
  const std::string list = directory / "deny";
  write_text(list, "# nobody of these\n127.0.7.0/24\n");
  const Supervisor supervisor(passed("127.0.0.1:0,deny=" + list));
  supervisor.wait_until_serving();
  EXPECT_FALSE(is_served(supervisor, "127.0.7.1"));
  EXPECT_TRUE(is_served(supervisor, "127.0.8.1"));
  replace(list, "127.0.8.0/24\n");
  supervisor.wait_until_told("has changed and is in force");
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  EXPECT_FALSE(is_served(supervisor, "127.0.8.1"));
  replace(list, "127.0.8.0/24\n127.0.9.1/8\n");
  supervisor.wait_until_told("what it said before stays in force");
  EXPECT_THAT(supervisor.errors(), HasSubstr("line 2"));
  EXPECT_FALSE(is_served(supervisor, "127.0.8.1"));
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("denied"), 3u);
}

TEST(Admission, AMistakeInAListIsToldOnce) {
  const TempDirectory directory;
  const std::string denied = directory / "deny", allowed = directory / "allow";
  write_text(denied, "127.0.8.0/24\n");
  write_text(allowed, "127.0.0.0/8\n");
  const Supervisor supervisor(passed("127.0.0.1:0,deny=" + denied + ",allow=" + allowed));
  supervisor.wait_until_serving();
  replace(denied, "127.0.9.1/8\n");
  supervisor.wait_until_told("what it said before stays in force");
  replace(allowed, "127.0.0.0/8\n# and nobody else\n");
  supervisor.wait_until_told(allowed + " has changed and is in force");  // so both were looked at again
  const std::string told = supervisor.errors();
  EXPECT_EQ(told.find("stays in force"), told.rfind("stays in force")) << told;
}

// As `cat new > allow` leaves it for a moment: it would lock everybody out.
TEST(Admission, AListOfThoseThatAreLetInWithNobodyOnItIsASlip) {
  const TempDirectory directory;
  write_text(directory / "allow", "127.0.7.0/24\n");
  const Supervisor supervisor(passed("127.0.0.1:0,allow=" + (directory / "allow")));
  supervisor.wait_until_serving();
  write_text(directory / "allow", "# nobody\n");
  supervisor.wait_until_told("it holds no range, so nobody would be let in; what it said before stays in force");
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  const Ran ran = run({holdfast_program(), "run", "-l", "127.0.0.1:0,allow=" + (directory / "allow"), "--intake", "sdk",
                       "--", whoami_program()});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.errors, HasSubstr("it holds no range"));
}

TEST(Admission, OnlyWhoIsOnTheListOfThoseThatAreLetInIs) {
  const TempDirectory directory;
  write_text(directory / "allow", "127.0.7.0/24\n");
  const Supervisor supervisor(passed("127.0.0.1:0,allow=" + (directory / "allow")));
  supervisor.wait_until_serving();
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  EXPECT_FALSE(is_served(supervisor, "127.0.8.1"));
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("not-allowed"), 1u);
}

TEST(Admission, AListThatCannotBeReadIsToldAtTheStart) {
  const Ran ran = run(
      {holdfast_program(), "run", "-l", "127.0.0.1:0,deny=/no/such/list", "--intake", "sdk", "--", whoami_program()});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.errors, HasSubstr("read /no/such/list: No such file"));
}

TEST(Admission, TheFloodOfOneSourceIsNotTheOthers) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-rate=3,source-rate-period=1h,refusal=http"));
  supervisor.wait_until_serving();
  for (int i = 0; i < 8; ++i) {
    const std::optional<Response> answer = get_once(supervisor.target(), "/", "127.0.7.1");
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->code, i < 3 ? 200 : 429) << i;
  }
  EXPECT_TRUE(is_served(supervisor, "127.0.7.2"));
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("source-rate"), 5u);
}

// All that a client from `source` gets for its request, until the end of the stream.
std::string all_of_answer(const Supervisor& supervisor, const std::string& source) {
  std::string answer;
  const int fd = begin_connect(supervisor.target(), source);
  const auto wait_for = [&](short events) {
    pollfd ready{fd, events, 0};
    return ::poll(&ready, 1, 40'000) == 1;
  };
  const std::string bytes = request("/");
  const bool sent = wait_for(POLLOUT) && ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
  for (char part[1024]; sent && wait_for(POLLIN);) {
    const ssize_t size = ::recv(fd, part, sizeof part, 0);
    if (size <= 0) break;
    answer.append(part, static_cast<std::size_t>(size));
  }
  ::close(fd);
  return answer;
}

int retry_after(const std::string& answer) {
  const std::size_t at = answer.find("\r\nRetry-After: ");
  return at == std::string::npos ? -1 : std::atoi(answer.c_str() + at + 15);
}

TEST(Admission, WhoIsRefusedIsToldWhenToComeAgain) {
  const Supervisor supervisor(
      passed("127.0.0.1:0,source-rate=1,source-rate-period=1h,ban-after=2,ban-time=10h,refusal=http"));
  supervisor.wait_until_serving();
  EXPECT_THAT(all_of_answer(supervisor, "127.0.7.1"), testing::StartsWith("HTTP/1.1 200 "));
  const std::string by_rate = all_of_answer(supervisor, "127.0.7.1");
  EXPECT_THAT(by_rate, testing::StartsWith("HTTP/1.1 429 "));
  EXPECT_GT(retry_after(by_rate), 3000);
  EXPECT_LE(retry_after(by_rate), 3600);
  for (int i = 0; i < 2; ++i) {
    const std::string by_ban = all_of_answer(supervisor, "127.0.7.1");
    EXPECT_THAT(by_ban, testing::StartsWith("HTTP/1.1 429 "));
    EXPECT_GT(retry_after(by_ban), 35'000) << i;
    EXPECT_LE(retry_after(by_ban), 36'000) << i;
  }
}

TEST(Admission, WhoIsRefusedTooOftenIsBanned) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-rate=1,source-rate-period=1h,ban-after=2,ban-time=1h"));
  supervisor.wait_until_serving();
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(is_served(supervisor, "127.0.7.1"));
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused.at("source-rate"), 2u);
  EXPECT_EQ(status.refused.at("banned"), 2u);
}

TEST(Admission, ADryRunRefusesNobodyAndCounts) {
  const TempDirectory directory;
  write_text(directory / "deny", "127.0.7.0/24\n");
  const Supervisor supervisor(
      passed("127.0.0.1:0,admission=dry-run,source-rate=1,source-rate-period=1h,deny=" + (directory / "deny")));
  supervisor.wait_until_serving();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused_in_all(), 0u);
  const auto json = nlohmann::json::parse(status.json);
  EXPECT_EQ(json["listeners"][0]["would_refuse"], (nlohmann::json{{"denied", 3}, {"source-rate", 2}}));
}

TEST(Admission, OneLimitIsTriedWhileTheOthersStayInForce) {
  const TempDirectory directory;
  write_text(directory / "deny", "127.0.7.0/24\n127.0.8.0/24\n");
  write_text(directory / "allow", "127.0.7.0/24\n127.0.9.0/24\n");
  const Supervisor supervisor(passed("127.0.0.1:0,dry-run=deny,source-connections,allow=" + (directory / "allow") +
                                     ",deny=" + (directory / "deny") +
                                     ",source-rate=2,source-rate-period=1h,source-connections=1"));
  supervisor.wait_until_serving();
  EXPECT_FALSE(is_served(supervisor, "127.0.8.1")) << "the list that is tried does not hide the other one";
  std::deque<HttpClient> open;
  for (int i = 0; i < 2; ++i) {
    open.emplace_back(supervisor.target(), "127.0.7.1");
    EXPECT_TRUE(open.back().get("/")) << i;
  }
  EXPECT_FALSE(is_served(supervisor, "127.0.7.1")) << "his rate is in force";
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused, (std::map<std::string, std::uint64_t>{{"not-allowed", 1}, {"source-rate", 1}}));
  const auto json = nlohmann::json::parse(status.json);
  EXPECT_EQ(json["listeners"][0]["would_refuse"], (nlohmann::json{{"denied", 4}, {"source-connections", 2}}));
  const Ran text = supervisor.tell("status", {});
  EXPECT_THAT(text.output, HasSubstr("would have kept out, but for its dry run: denied 4, source-connections 2"));
  const Ran route = supervisor.tell("route", {"--explain", "127.0.7.2"});
  EXPECT_THAT(route.output, HasSubstr("(2 ranges), only counted"));
  EXPECT_THAT(route.output, HasSubstr("source-connections = 1 for each /32 of IPv4 and /64 of IPv6, only counted"));
  EXPECT_THAT(route.output, HasSubstr("source-rate = 2 in 1h for each /32 of IPv4 and /64 of IPv6\n"));
  EXPECT_THAT(route.output, testing::Not(HasSubstr("is refused")));
  EXPECT_THAT(supervisor.tell("route", {"--explain", "127.0.8.2"}).output, HasSubstr("is refused (not-allowed)"));
}

TEST(Admission, BehindAProxyItIsTheClientWhoIsJudged) {
  const TempDirectory directory;
  write_text(directory / "deny", "203.0.113.0/24\n127.0.0.0/8\n");
  const Supervisor supervisor(passed("127.0.0.1:0,proxy-protocol=required,deny=" + (directory / "deny")));
  supervisor.wait_until_serving();
  HttpClient denied(supervisor.target());
  denied.send_raw(header_v1("TCP4 203.0.113.7 192.0.2.1 4000 443") + request_for("/", "close"));
  EXPECT_TRUE(denied.closed_by_peer());
  HttpClient served(supervisor.target());
  served.send_raw(header_v1("TCP4 198.51.100.7 192.0.2.1 4000 443") + request_for("/", "close"));
  EXPECT_TRUE(told(served));
}

TEST(Admission, WhoComesMostIsShown) {
  SupervisorPlan plan = passed("127.0.0.1:0,source-rate=2,source-rate-period=1h,ban-after=2,ban-time=1h");
  plan.listen.push_back("127.0.0.1:0");
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(is_served(supervisor, "127.0.7.2"), i < 2);
  const Ran ran = supervisor.tell("clients", {"--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  const auto listeners = nlohmann::json::parse(ran.output)["listeners"];
  ASSERT_EQ(listeners.size(), 2u);
  EXPECT_EQ(listeners[0]["sources"][0],
            (nlohmann::json{{"address", "127.0.7.2/32"}, {"open", 0}, {"seen", 4}, {"refused", 2}, {"banned", true}}));
  EXPECT_EQ(listeners[0]["sources"][1]["address"], "127.0.7.1/32");
  EXPECT_TRUE(listeners[1]["remembers"]);
  EXPECT_TRUE(listeners[1]["sources"].empty());
  const Ran text = supervisor.tell("clients", {"--count", "1"});
  EXPECT_THAT(text.output, HasSubstr("127.0.7.2/32"));
  EXPECT_THAT(text.output, HasSubstr("banned"));
  EXPECT_THAT(text.output, HasSubstr("source-rate = 2 in 1h"));
  EXPECT_THAT(text.output, testing::Not(HasSubstr("127.0.7.1/32")));
  const Ran unknown = supervisor.tell("clients", {"--listener", "nobody"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.errors, HasSubstr("there is no listener 'nobody'"));
}

TEST(Admission, WhoComesMostIsShownWhereThereIsNoLimit) {
  const TempDirectory directory;
  write_text(directory / "deny", "127.0.7.1\n");
  for (const std::string& more : {std::string(), ",deny=" + (directory / "deny")}) {
    const Supervisor supervisor(passed("127.0.0.1:0,source-prefix-v4=24" + more));
    supervisor.wait_until_serving();
    EXPECT_EQ(is_served(supervisor, "127.0.7.1"), more.empty());
    EXPECT_TRUE(is_served(supervisor, "127.0.7.2"));
    EXPECT_TRUE(is_served(supervisor, "127.0.8.1"));
    const Ran ran = supervisor.tell("clients", {"--json"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const auto listener = nlohmann::json::parse(ran.output)["listeners"][0];
    EXPECT_TRUE(listener["remembers"]);
    EXPECT_FALSE(listener["counts_open"]);
    EXPECT_EQ(
        listener["sources"],
        (nlohmann::json{{{"address", "127.0.7.0/24"},
                         {"open", 0},
                         {"seen", 2},
                         {"refused", more.empty() ? 0 : 1},
                         {"banned", false}},
                        {{"address", "127.0.8.0/24"}, {"open", 0}, {"seen", 1}, {"refused", 0}, {"banned", false}}}));
    EXPECT_THAT(supervisor.tell("clients", {}).output, HasSubstr("127.0.7.0/24"));
  }
}

// How many a source has open, the kernel tells: neither worker nor client has to.
TEST(Admission, ASourceMayHaveSoManyOpen) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-connections=3,refusal=http"));
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](const std::string& source) {
    open.emplace_back(supervisor.target(), source);
    const std::optional<Response> answer = open.back().get("/");
    return answer ? answer->code : 0;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(come("127.0.7.1"), 200);
  EXPECT_EQ(come("127.0.7.1"), 429);
  EXPECT_EQ(come("127.0.7.2"), 200) << "another source";
  const auto sources = [&] {
    return nlohmann::json::parse(supervisor.tell("clients", {"--json"}).output)["listeners"][0]["sources"];
  };
  EXPECT_EQ(sources()[0]["address"], "127.0.7.1/32");
  EXPECT_EQ(sources()[0]["open"], 3);
  open.pop_front();
  EXPECT_TRUE(eventually([&] { return sources()[0]["open"] == 2; }));
  EXPECT_EQ(come("127.0.7.1"), 200) << "there is room again";
  EXPECT_EQ(come("127.0.7.1"), 429);
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("source-connections"), 2u);
}

// Many short ones in a row are not many at a time.
TEST(Admission, WhatIsClosedDoesNotCountAsOpen) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-connections=2,total-connections=40"));
  supervisor.wait_until_serving();
  for (int i = 0; i < 60; ++i) {
    HttpClient client(supervisor.target(), "127.0.7.1");
    client.send("/", "close");
    ASSERT_TRUE(client.receive()) << i;
    ASSERT_TRUE(client.closed_by_peer()) << "the worker closes first";
  }
  EXPECT_EQ(supervisor.wait_until_settled().refused_in_all(), 0u);
}

TEST(Admission, AListenerMayHaveSoManyOpen) {
  const Supervisor supervisor(passed("127.0.0.1:0,total-connections=3,refusal=http", {"--wait-limit", "0"}));
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](int source) {
    open.emplace_back(supervisor.target(), "127.0.7." + std::to_string(source));
    const std::optional<Response> answer = open.back().get("/");
    return answer ? answer->code : 0;
  };
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(come(i), 200);
  EXPECT_EQ(come(4), 503);
  open.pop_front();
  EXPECT_TRUE(eventually([&] { return come(5) == 200; })) << "its worker closes it, and there is room again";
  EXPECT_GE(supervisor.wait_until_settled().refused.at("total-connections"), 1u);
}

TEST(Admission, BeyondWhatAListenerMayHaveOpenClientsWaitInTurn) {
  const Supervisor supervisor(
      passed("127.0.0.1:0,total-connections=1,refusal=http", {"--wait-limit", "2", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  std::optional<HttpClient> open(std::in_place, supervisor.target());
  ASSERT_TRUE(open->get("/"));
  std::deque<HttpClient> waiting;
  for (std::size_t i = 1; i <= 2; ++i) {
    waiting.emplace_back(supervisor.target()).send("/");
    supervisor.wait_until("it waits", [&](const StatusView& view) { return view.waiting == i; });
  }
  HttpClient refused(supervisor.target());
  const std::optional<Response> answer = refused.get("/");
  ASSERT_TRUE(answer) << name_of(refused.ending());
  EXPECT_EQ(answer->code, 503);
  open.reset();
  EXPECT_TRUE(waiting.front().receive()) << "who came first: " << name_of(waiting.front().ending());
  EXPECT_EQ(supervisor.status().waiting, 1u);
  waiting.pop_front();
  EXPECT_TRUE(waiting.front().receive()) << name_of(waiting.front().ending());
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused.at("total-connections"), 1u);
  EXPECT_TRUE(status.balanced());
}

TEST(Admission, NobodyWaitsAtAListenerLongerThanAllowed) {
  const Supervisor supervisor(passed("127.0.0.1:0,total-connections=1,refusal=http", {"--wait-timeout", "300ms"}));
  supervisor.wait_until_serving();
  HttpClient open(supervisor.target());
  ASSERT_TRUE(open.get("/"));
  HttpClient waits(supervisor.target());
  const std::optional<Response> answer = waits.get("/");
  ASSERT_TRUE(answer) << name_of(waits.ending());
  EXPECT_EQ(answer->code, 503);
}

// His PROXY header is taken from the connection by then, and he has been judged.
TEST(Admission, WhoWaitsAtAListenerIsServedByTheNextProgram) {
  const Supervisor supervisor(
      passed("127.0.0.1:0,total-connections=1,proxy-protocol=required", {"--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  HttpClient open(supervisor.target());
  open.send_raw(header_v1("TCP4 203.0.113.7 192.0.2.1 4000 443") + request_for("/", "keep-alive"));
  ASSERT_TRUE(open.receive());
  HttpClient waits(supervisor.target());
  waits.send_raw(header_v1("TCP4 203.0.113.8 192.0.2.1 4001 443") + request("/"));
  supervisor.wait_until("it waits", [](const StatusView& view) { return view.waiting == 1; });
  const Ran ran = supervisor.tell("upgrade", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  const auto answer = told(waits);
  ASSERT_TRUE(answer) << name_of(waits.ending());
  EXPECT_EQ((*answer)["remote"], "203.0.113.8:4001");
  EXPECT_TRUE(supervisor.wait_until_settled().balanced());
}

// The proxy's connections are the kernel's, the client's address is what counts.
TEST(Admission, BehindAProxyTheClientsConnectionsAreCounted) {
  const Supervisor supervisor(passed("127.0.0.1:0,proxy-protocol=required,source-connections=1,refusal=http"));
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](const std::string& client) { return come_by_a_proxy(supervisor, client, open); };
  EXPECT_EQ(come("203.0.113.7"), 200);
  EXPECT_EQ(come("203.0.113.8"), 200);
  EXPECT_EQ(come("203.0.113.7"), 429);
}

class AdmissionReload : public testing::Test {
 protected:
  void write(const std::string& limits, const std::string& of_pool = "") const {
    write_text(directory_ / "front.toml",
               "[supervisor]\nname = \"front\"\n[listeners.http]\naddress = \"127.0.0.1:0\"\n" + limits +
                   "[pools.web]\nintake = \"sdk\"\nworkers = 2\ncommand = [\"" + whoami_program() + "\"]\n" + of_pool);
  }
  [[nodiscard]] SupervisorPlan plan() const { return plan_of_file(directory_ / "front.toml"); }
  TempDirectory directory_;
};

TEST_F(AdmissionReload, LimitsChangeUnderWay) {
  write("");
  const Supervisor supervisor(plan());
  const std::vector<pid_t> workers = supervisor.wait_until_serving().pids();
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  write_text(directory_ / "deny", "127.0.7.0/24\n");
  write("deny = \"" + (directory_ / "deny") + "\"\n");
  Ran ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_FALSE(is_served(supervisor, "127.0.7.1"));
  EXPECT_TRUE(is_served(supervisor, "127.0.8.1"));
  write("source-rate = 1\nsource-rate-period = \"1h\"\nrefusal = \"http\"\n");
  ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(get_once(supervisor.target(), "/", "127.0.7.1")->code, 200);
  EXPECT_EQ(get_once(supervisor.target(), "/", "127.0.7.1")->code, 429);
  EXPECT_EQ(supervisor.status().pids(), workers) << "limits are no reason to replace a worker";
}

// Neither what is open, nor what a source has done, nor what was only counted.
TEST_F(AdmissionReload, NothingIsForgottenWithAChangeOfLimits) {
  const std::string limits = "refusal = \"http\"\nsource-connections = 2\ntotal-connections = 3\n";
  write(limits + "ban-time = \"1h\"\nban-after = 100\n", "wait-limit = 0\n");
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](int source) {
    open.emplace_back(supervisor.target(), "127.0.7." + std::to_string(source));
    const std::optional<Response> answer = open.back().get("/");
    return answer ? answer->code : 0;
  };
  const auto change_to = [&](const std::string& more) {
    write(limits + more, "wait-limit = 0\n");
    const Ran ran = supervisor.tell("reload", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  };
  EXPECT_EQ(come(1), 200);
  change_to("ban-time = \"2h\"\nban-after = 100\nadmission = \"dry-run\"\n");
  EXPECT_EQ(come(1), 200);
  EXPECT_EQ(come(1), 200) << "the third of its source";
  EXPECT_EQ(come(2), 200) << "the fourth of all";
  const auto would_refuse = [&] {
    return nlohmann::json::parse(supervisor.status().json)["listeners"][0]["would_refuse"];
  };
  const nlohmann::json counted = {{"source-connections", 1}, {"total-connections", 1}};
  EXPECT_EQ(would_refuse(), counted);
  change_to("ban-time = \"3h\"\nban-after = 100\n");
  EXPECT_EQ(come(1), 429);
  EXPECT_EQ(come(3), 503);
  change_to("source-prefix-v4 = 24\n");
  EXPECT_EQ(would_refuse(), counted);
}

TEST_F(AdmissionReload, ALimitThatWasTriedIsEnforcedWithoutARestart) {
  const std::string limits = "refusal = \"http\"\nsource-connections = 1\n";
  write(limits + "dry-run = [\"source-connections\", \"max-connections\"]\n",
        "max-connections = 2\nwait-limit = 0\ndry-run = [\"max-slot-connections\"]\nmax-slot-connections = 1\n");
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  const auto come = [&](int source) {
    open.emplace_back(supervisor.target(), "127.0.7." + std::to_string(source));
    const std::optional<Response> answer = open.back().get("/");
    return answer ? answer->code : 0;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(come(1), 200) << i;
  const auto would_refuse = [&] {
    return nlohmann::json::parse(supervisor.status().json)["listeners"][0]["would_refuse"];
  };
  const nlohmann::json counted = {{"source-connections", 2}, {"max-connections", 1}, {"max-slot-connections", 2}};
  EXPECT_EQ(would_refuse(), counted);
  write(limits + "dry-run = [\"max-connections\"]\n",
        "max-connections = 2\nwait-limit = 0\nmax-slot-connections = 9\n");
  Ran ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(come(1), 429);
  EXPECT_EQ(come(2), 200) << "what all may have open is tried still";
  write(limits, "max-connections = 2\nwait-limit = 0\nmax-slot-connections = 9\n");
  ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(come(3), 503);
}

TEST_F(AdmissionReload, AListThatCannotBeReadChangesNothing) {
  write("source-rate = 1\nsource-rate-period = \"1h\"\n");
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  EXPECT_TRUE(is_served(supervisor, "127.0.7.1"));
  write("deny = \"/no/such/list\"\n");
  const Ran ran = supervisor.tell("reload", {"--wait"});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_THAT(ran.errors, HasSubstr("listener http: read /no/such/list"));
  EXPECT_FALSE(is_served(supervisor, "127.0.7.1")) << "the limit that was in force is";
}

}  // namespace
}  // namespace holdfast::test
