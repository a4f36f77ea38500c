// The inbox against a played worker: a socket in this process on which the test says what a Node.js worker says.
#include "worker/node_inbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/played_node_worker.h"
#include "component/run_until.h"
#include "loop/loop.h"
#include "sys/fd_passing.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NodeInboxTest : public testing::Test {
 protected:
  void make(NodeSession::Policy policy = {}) {
    NodeInbox::Hooks hooks;
    hooks.on_query = [this](NodeInbox&, const NodeQuery& query) { return servers_.answer(query.server, query.data); };
    hooks.on_ready = [this](NodeInbox&) { told_.push_back("ready"); };
    hooks.on_accepting = [this](NodeInbox&, bool yes) { told_.push_back(yes ? "accepts" : "stops accepting"); };
    hooks.on_leaves = [this](NodeInbox&, const std::string&) { told_.push_back("leaves"); };
    hooks.on_came_back = [this](NodeInbox&) { told_.push_back("came back"); };
    hooks.on_heard = [this](NodeInbox&, const NodeSession::Heard& heard) {
      if (const auto* text = std::get_if<NodeText>(&heard.message)) told_.push_back("heard " + text->payload);
    };
    hooks.on_garbage = [this](NodeInbox&, const Error& error) { told_.push_back("garbage: " + error.message()); };
    hooks.on_room = [this] { rooms_++; };
    hooks.stand_in = [this](const NodeInbox&, ListenerId, const std::vector<ListenerId>&) { return stands_in_; };
    hooks.on_strays = [this](NodeInbox&) { told_.push_back("strays"); };
    inbox_ = std::make_unique<NodeInbox>(loop_, std::move(policy), NodeSerialization::Json, std::move(hooks));
  }
  void start() {
    Result<UniqueFd> end = inbox_->open_channel();
    ASSERT_TRUE(end);
    worker_.emplace(*std::move(end));
  }
  void make_and_listen(NodeSession::Policy policy = {}) {
    make(std::move(policy));
    start();
    listen();
  }
  void listen() {
    worker_->say(listening(3000));
    ASSERT_TRUE(run_until(loop_, [&] { return told("ready"); }));
    EXPECT_THAT(worker_->read_all(), HasSubstr("\"errno\":null"));
  }
  void put(std::size_t count, std::uint16_t listener = 0) {
    for (std::size_t i = 0; i < count; i++) {
      ConnectionRecord record{};
      record.listener = listener;
      record.id = ++last_;
      inbox_->put(Connection{UniqueFd(::fcntl(pipe_.read.get(), F_DUPFD_CLOEXEC, 0)), record});
    }
    EXPECT_THAT(inbox_->flush(), IsEmpty()) << "our copies are needed";
  }
  [[nodiscard]] bool told(const std::string& what) const { return std::count(told_.begin(), told_.end(), what) > 0; }
  [[nodiscard]] std::vector<std::uint64_t> take_back() {
    std::vector<std::uint64_t> ids;
    for (const Connection& connection : inbox_->take_back_some()) {
      EXPECT_TRUE(connection.fd);
      ids.push_back(connection.record.id);
    }
    return ids;
  }
  // Until everything that can be sent was sent, and everything that was said was heard.
  void settle_down() { run_for(loop_, 20ms); }

  Pipe pipe_ = make_pipe();
  Loop loop_;
  NodeServers servers_{{{*parse_listen_address(":3000")}, {*parse_listen_address(":3001")}}};
  std::unique_ptr<NodeInbox> inbox_;
  std::optional<PlayedNodeWorker> worker_;
  std::vector<std::string> told_;
  std::optional<ListenerId> stands_in_;
  int rooms_ = 0;
  int answered_ = 0;
  std::uint64_t last_ = 0;
};

TEST_F(NodeInboxTest, WhatIsPutInBeforeTheWorkerListensWaits) {
  make();
  put(3);
  EXPECT_EQ(inbox_->waiting(), 3u);
  start();
  worker_->say("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n");
  put(1);
  settle_down();
  EXPECT_EQ(worker_->read_all(), "");
  listen();
  ASSERT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 4;
  }));
  EXPECT_FALSE(inbox_->unsent());
  EXPECT_EQ(inbox_->waiting(), 4u) << "on their way";
}

TEST_F(NodeInboxTest, WhatTheWorkerHasNoServerForStandsInNobodysWayAndMayBeTaken) {
  make_and_listen();
  put(5, 1);
  EXPECT_TRUE(told("strays"));
  put(1);
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read() && worker_->fds().size() == 1; }));
  EXPECT_EQ(inbox_->account().waiting, 6u);
  EXPECT_EQ(inbox_->account().stray, 5u);
  EXPECT_EQ(ConnectionSink::queued(inbox_->account()), 1u);
  EXPECT_THAT(inbox_->strays(), ElementsAre(std::pair(ListenerId{1}, std::size_t{5})));
  EXPECT_EQ(inbox_->take_strays(ListenerId{1}, 2).size(), 3u);
  EXPECT_EQ(inbox_->account().waiting, 3u);
  EXPECT_THAT(take_back(), ElementsAre(1u, 2u)) << "those that came last were taken";
}

TEST_F(NodeInboxTest, AServerThatStandsInGetsThemWithItsOwnKey) {
  make_and_listen();
  put(1, 1);
  stands_in_ = ListenerId{0};
  EXPECT_TRUE(inbox_->strays().empty());
  inbox_->consider_told();
  put(1);
  ASSERT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 2;
  }));
  const std::string text = worker_->read_all();
  EXPECT_NE(text.find("holdfast:1"), text.rfind("holdfast:1")) << text;
  EXPECT_EQ(inbox_->account().stray, 0u);
}

TEST_F(NodeInboxTest, AServerThatClosesLeavesStraysOnlyWhereAnotherIsOpen) {
  make_and_listen();
  worker_->say(listening(3001));
  settle_down();
  put(1, 1);
  EXPECT_THAT(inbox_->strays(), IsEmpty());
  EXPECT_FALSE(told("strays"));
  worker_->say(R"({"cmd":"NODE_CLUSTER","act":"close","key":"holdfast:2","seq":5})"
               "\n");
  ASSERT_TRUE(run_until(loop_, [&] { return told("strays"); })) << "there may be some in another inbox";
  put(1, 1);
  EXPECT_EQ(inbox_->account().stray, 1u);
  worker_->say(R"({"cmd":"NODE_CLUSTER","act":"close","key":"holdfast:1","seq":6})"
               "\n");
  ASSERT_TRUE(run_until(loop_, [&] { return told("stops accepting"); }));
  EXPECT_EQ(inbox_->account().stray, 0u) << "its whole slot is lent";
}

TEST_F(NodeInboxTest, OneThatAsksAndDoesNotReadIsDistrusted) {
  make_and_listen();
  std::string lines;
  for (int i = 0; i < 1000; i++) lines += "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\"}\n";
  bool distrusted = false;
  for (int i = 0; i < 200 && !distrusted; i++) {
    worker_->say(lines);
    settle_down();
    distrusted = std::any_of(told_.begin(), told_.end(), [](const auto& t) { return t.starts_with("garbage"); });
  }
  EXPECT_TRUE(told("garbage: it asks, and does not read what it is answered"));
}

TEST_F(NodeInboxTest, ANewWorkerIsSpokenToAsIsWishedByThen) {
  make_and_listen();
  worker_->die();
  settle_down();
  NodeSession::Policy policy;
  policy.dialect = NodeDialect::Plain;
  inbox_->set_ways(policy, NodeSerialization::Json);
  start();
  inbox_->consider_ready();
  put(1);
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read() && worker_->fds().size() == 1; }));
  EXPECT_THAT(worker_->read_all(), HasSubstr("\"msg\":\"connection\""));
}

TEST_F(NodeInboxTest, OurCopyIsClosedWhenTheConnectionIsTakenUpAndNotBefore) {
  make_and_listen();
  put(1);
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read() && worker_->fds().size() == 1; }));
  const std::size_t before = open_file_count();
  worker_->say(kAcknowledged);
  settle_down();
  EXPECT_EQ(open_file_count(), before);
  EXPECT_EQ(inbox_->account().taken, 0u);
  worker_->say(accepted(1));
  ASSERT_TRUE(run_until(loop_, [&] { return inbox_->waiting() == 0; }));
  EXPECT_EQ(open_file_count(), before - 1);
  EXPECT_EQ(inbox_->account().taken, 1u);
}

TEST_F(NodeInboxTest, EachConnectionComesWithAMessageOfItsOwn) {
  make_and_listen();
  put(20);
  for (std::size_t i = 1; i <= 20; i++) {
    ASSERT_TRUE(worker_->read());
    EXPECT_EQ(worker_->fds().size(), i) << "two descriptors in one read would be mixed up";
  }
  const std::string text = worker_->read_all();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
}

TEST_F(NodeInboxTest, NoMoreAreOnTheirWayThanTheLimit) {
  make_and_listen({.most_in_flight = 2});
  put(5);
  while (worker_->read()) continue;
  EXPECT_EQ(worker_->fds().size(), 2u);
  inbox_->want_room(true);
  worker_->say(kAcknowledged + accepted(1));
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read() && worker_->fds().size() == 3; }));
  EXPECT_EQ(rooms_, 1);
  EXPECT_EQ(inbox_->waiting(), 4u);
}

TEST_F(NodeInboxTest, AnswersToConnectionsThatComeCloseTogetherAreAllReadAndWhatFollowsToo) {
  make_and_listen();
  for (unsigned round = 1; round <= 3; round++) {
    put(10);
    for (unsigned i = 10 * (round - 1) + 1; i <= 10 * round; i++) worker_->say(kAcknowledged + accepted(i));
    worker_->say("\"" + std::to_string(round) + "\"\n");
    ASSERT_TRUE(run_until(loop_, [&] { return told("heard \"" + std::to_string(round) + "\""); }));
    EXPECT_EQ(inbox_->account().taken, 10 * round);
    worker_->say("\"idle\"\n");
    ASSERT_TRUE(run_until(loop_, [&] { return told("heard \"idle\""); })) << "and when none comes any more";
    told_.clear();
  }
}

TEST_F(NodeInboxTest, WhatADeadWorkerHadNotTakenUpIsHereForTheNext) {
  make_and_listen();
  put(5);
  worker_->say(kAcknowledged + accepted(1) + kAcknowledged + accepted(2) + kAcknowledged);
  worker_->die();
  ASSERT_TRUE(run_until(loop_, [&] { return told("came back"); }));
  EXPECT_TRUE(told("leaves"));
  EXPECT_EQ(inbox_->account().taken, 2u);
  EXPECT_EQ(inbox_->waiting(), 3u);
  put(1);
  told_.clear();
  inbox_->settle();
  EXPECT_THAT(told_, IsEmpty());
  start();
  listen();
  EXPECT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 4;
  }));
}

TEST_F(NodeInboxTest, TheLastWordsOfADeadWorkerCount) {
  make_and_listen();
  put(4);
  worker_->say(kAcknowledged + accepted(1) + kAcknowledged + accepted(2));
  worker_->die();
  inbox_->settle();  // its end was seen by other means before its channel was read
  EXPECT_EQ(inbox_->account().taken, 2u);
  EXPECT_THAT(take_back(), ElementsAre(3, 4));
  EXPECT_THAT(told_, ElementsAre("ready")) << "who settles knows";
}

TEST_F(NodeInboxTest, WhatIsTakenBackIsWhatIsUnsent) {
  make_and_listen({.most_in_flight = 2});
  put(5);
  EXPECT_THAT(take_back(), ElementsAre(3, 4, 5));
  EXPECT_EQ(inbox_->waiting(), 2u);
  EXPECT_THAT(take_back(), IsEmpty());
}

TEST_F(NodeInboxTest, ARefusedConnectionIsSentAgainToAWorkerThatWasFull) {
  make_and_listen({.most_in_flight = 4, .full_pause = 10ms});
  put(2);
  worker_->say(kAcknowledged + accepted(1, "false") + kAcknowledged + accepted(2, "false"));
  ASSERT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 3;
  }));
  settle_down();
  while (worker_->read()) continue;
  EXPECT_EQ(worker_->fds().size(), 3u) << "one, to see";
  worker_->say(kAcknowledged + accepted(3));
  EXPECT_TRUE(run_until(loop_, [&] { return worker_->read() && worker_->fds().size() == 4; }));
  EXPECT_FALSE(told("came back")) << "nobody else needs to take it";
  EXPECT_EQ(inbox_->account().taken, 1u);
}

TEST_F(NodeInboxTest, ALostDescriptorIsSentAgain) {
  make_and_listen({.full_pause = 1ms});
  put(1);
  worker_->say(kMissing);
  EXPECT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 2;
  }));
  EXPECT_EQ(inbox_->waiting(), 1u);
}

TEST_F(NodeInboxTest, WhatWasSaidCanBeHeardBeforeItsTurn) {
  make_and_listen();
  worker_->say("\"news\"\n");
  EXPECT_FALSE(told("heard \"news\""));
  inbox_->catch_up();
  EXPECT_TRUE(told("heard \"news\""));
}

TEST_F(NodeInboxTest, ADrainComesAfterWhatIsQueued) {
  make_and_listen({.most_in_flight = 1});
  put(3);
  inbox_->drain({loop_.now() + 1h});
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += worker_->read_all();
    for (const UniqueFd& fd : std::exchange(worker_->fds(), {})) {
      EXPECT_TRUE(fd);
      worker_->say(kAcknowledged + accepted(++answered_));
    }
    return text.find("\"disconnect\"") != std::string::npos;
  }));
  EXPECT_EQ(answered_, 3);
  EXPECT_GT(text.find("\"disconnect\""), text.rfind("newconn"));
  put(1);
  EXPECT_TRUE(inbox_->unsent()) << "for another worker";
  EXPECT_THAT(told_, ElementsAre("ready"));
}

TEST_F(NodeInboxTest, AFullWorkerIsDrainedAllTheSame) {
  make_and_listen({.full_pause = 1h});
  put(2);
  worker_->say(kAcknowledged + accepted(1, "false"));
  ASSERT_TRUE(run_until(loop_, [&] { return inbox_->unsent(); }));
  worker_->say(kAcknowledged + accepted(2, "false"));
  ASSERT_TRUE(run_until(loop_, [&] { return inbox_->account().waiting == 2 && take_back().size() == 2; }));
  put(2);
  inbox_->drain({loop_.now() + 1h});
  EXPECT_TRUE(told("came back"));
  EXPECT_THAT(worker_->read_all(), HasSubstr("\"disconnect\""));
}

TEST_F(NodeInboxTest, WhatADrainingWorkerRefusesComesBack) {
  make_and_listen();
  put(2);
  inbox_->drain({loop_.now() + 1h});
  worker_->say(kAcknowledged + accepted(1, "false") + kAcknowledged + accepted(2, "false"));
  ASSERT_TRUE(run_until(loop_, [&] { return told("came back"); }));
  EXPECT_THAT(take_back(), ElementsAre(1, 2));
  told_.clear();
  worker_->die();
  settle_down();
  EXPECT_THAT(told_, IsEmpty()) << "it went as it was told";
}

TEST_F(NodeInboxTest, GarbageIsToldOnceAndItsAnswersStillCount) {
  make_and_listen();
  put(3);
  worker_->say("no JSON\n" + kAcknowledged + accepted(1) + "\n\"hello\"\n" + kAcknowledged + accepted(2));
  ASSERT_TRUE(run_until(loop_, [&] { return inbox_->account().taken == 2; }));
  EXPECT_EQ(told_.size(), 2u) << "ready, garbage";
  EXPECT_THAT(told_.back(), HasSubstr("no JSON"));
  put(1);
  EXPECT_TRUE(inbox_->unsent()) << "nothing more is given to it";
  worker_->die();
  inbox_->settle();
  EXPECT_THAT(take_back(), ElementsAre(3, 4));
}

TEST_F(NodeInboxTest, AnAnswerToNothingIsGarbage) {
  for (const std::string& lie : {kAcknowledged, kMissing, accepted(77)}) {
    told_.clear();
    make_and_listen();
    worker_->say(lie);
    EXPECT_TRUE(run_until(loop_, [&] { return told_.size() == 2; })) << lie;
    EXPECT_THAT(told_.back(), HasSubstr("garbage"));
    inbox_.reset();
  }
}

TEST_F(NodeInboxTest, ALineWithoutEndIsGarbage) {
  make_and_listen();
  const std::string piece(1024 * 1024, 'x');
  for (int i = 0; i < 17; i++) {
    std::size_t sent = 0;
    ASSERT_TRUE(run_until(loop_, [&] {
      const ssize_t count = ::send(worker_->channel().get(), piece.data(), piece.size() - sent, MSG_DONTWAIT);
      if (count > 0) sent += static_cast<std::size_t>(count);
      return sent == piece.size();
    }));
  }
  EXPECT_TRUE(run_until(loop_, [&] { return told_.size() == 2; }));
  EXPECT_THAT(told_.back(), HasSubstr("beyond"));
}

TEST_F(NodeInboxTest, AWorkerThatDoesNotReadHoldsUpNobodyAndGetsEverythingLater) {
  make_and_listen();
  const std::string message = '"' + std::string(100'000, 'm') + '"';
  for (int i = 0; i < 20; i++) EXPECT_TRUE(inbox_->say(NodeSay{message}));
  put(1);
  EXPECT_FALSE(spins(loop_));
  const TimePoint late = loop_.now() + 1h;
  EXPECT_LT(inbox_->heartbeat(late), late - 30min) << "not reading is how a hang shows";
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += worker_->read_all();
    return worker_->fds().size() == 1;
  }));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 21);
  EXPECT_EQ(text.substr(0, message.size() + 1), message + "\n");
  EXPECT_FALSE(spins(loop_)) << "it is watched for room that there is";
}

TEST_F(NodeInboxTest, ALongMessageComesWholeAndWithItsOwnConnection) {
  const std::string message = '"' + std::string(300'000, 'm') + '"';
  make({.dialect = NodeDialect::Plain, .connection_message = message});
  start();
  inbox_->consider_ready();
  put(3);
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += worker_->read_all();
    return std::count(text.begin(), text.end(), '\n') == 3;
  }));
  const std::string line = R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":)" + message + "}\n";
  EXPECT_TRUE(text == line + line + line);
  EXPECT_EQ(worker_->fds().size(), 3u);
}

TEST_F(NodeInboxTest, WhatIsSaidToAWorkerThatNeverReadsHasALimit) {
  make_and_listen();
  const std::string message = '"' + std::string(8 * 1024 * 1024, 'm') + '"';
  int said = 0;
  while (said < 100 && inbox_->say(NodeSay{message})) said++;
  EXPECT_LT(said, 20);
}

TEST_F(NodeInboxTest, ManyMoreThanAChannelHoldsAllArrive) {
  make_and_listen({.most_in_flight = 100'000});
  constexpr std::size_t kCount = 700;
  put(kCount);
  EXPECT_TRUE(inbox_->unsent()) << "the channel is full";
  std::size_t read = 0;
  ASSERT_TRUE(run_until(loop_, [&] {
    while (worker_->read()) continue;
    read += worker_->fds().size();
    worker_->fds().clear();
    return read == kCount;
  }));
  std::string answers;
  for (std::size_t i = 1; i <= kCount; i++) answers += kAcknowledged + accepted(static_cast<int>(i));
  worker_->say(answers);
  EXPECT_TRUE(run_until(loop_, [&] { return inbox_->account().taken == kCount; }));
}

TEST_F(NodeInboxTest, AHandleOfTheWorkersIsAcknowledgedOnceAndClosed) {
  make_and_listen();
  const std::size_t before = open_file_count();
  const std::string line = R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"take it"})"
                           "\n";
  const Result<SentPart> sent = send_part(worker_->channel(), line, BorrowedFd(pipe_.read));
  ASSERT_TRUE(sent && sent->length == line.size());
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read(); }));
  EXPECT_EQ(worker_->read_all(), kAcknowledged);
  EXPECT_EQ(open_file_count(), before);
}

TEST_F(NodeInboxTest, ConnectionsByMessageWaitForTheirServersOwnerAndHaveNoDelay) {
  make({.dialect = NodeDialect::StickySession});
  start();
  const Result<ListeningSocket> listener = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
  ASSERT_TRUE(listener);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(std::get<TcpAddress>(listener->bound).port);
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  Result<std::variant<AcceptedConnection, AcceptStop>> connection = accept_connection(listener->fd);
  ASSERT_TRUE(connection);
  ConnectionRecord record{};
  record.id = 1;
  inbox_->put(Connection{std::move(std::get<AcceptedConnection>(*connection).fd), record});
  (void)inbox_->flush();
  EXPECT_FALSE(worker_->read()) << "its program may not be there yet";
  inbox_->consider_ready();
  ASSERT_TRUE(worker_->read());
  int on = 0;
  socklen_t length = sizeof on;
  ASSERT_EQ(::getsockopt(worker_->fds()[0].get(), IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
  EXPECT_NE(on, 0);
  EXPECT_NE(::fcntl(worker_->fds()[0].get(), F_GETFL) & O_NONBLOCK, 0);
  worker_->say(kAcknowledged);
  EXPECT_TRUE(run_until(loop_, [&] { return inbox_->account().taken == 1; }));
}

TEST_F(NodeInboxTest, APlainChildIsDrainedByTheEndOfItsChannel) {
  make({.dialect = NodeDialect::Plain});
  start();
  inbox_->consider_ready();
  put(1);
  inbox_->drain({loop_.now() + 1h});
  EXPECT_THAT(worker_->read_all(), HasSubstr("\"connection\""));
  EXPECT_TRUE(worker_->closed());
  worker_->say(kAcknowledged);
  EXPECT_TRUE(run_until(loop_, [&] { return inbox_->account().taken == 1; })) << "its answers are still heard";
}

TEST_F(NodeInboxTest, EachServerGetsItsOwnAndNoneHoldsUpAnother) {
  make();
  put(2, 1);
  put(2, 0);
  start();
  listen();
  EXPECT_EQ(worker_->fds().size(), 2u);
  EXPECT_TRUE(inbox_->unsent());
  worker_->say(listening(3001));
  EXPECT_TRUE(run_until(loop_, [&] {
    (void)worker_->read();
    return worker_->fds().size() == 4;
  }));
}

TEST_F(NodeInboxTest, AHookMayEndTheWorkerThatItIsToldOf) {
  make_and_listen();
  put(2);
  NodeInbox::Hooks hooks;
  hooks.on_garbage = [this](NodeInbox& inbox, const Error&) {
    inbox.settle();
    told_.push_back("settled");
  };
  hooks.on_query = [](NodeInbox&, const NodeQuery&) { return NodeServers::Refused{}; };
  hooks.on_ready = hooks.on_came_back = [](NodeInbox&) {};
  inbox_ = std::make_unique<NodeInbox>(loop_, NodeSession::Policy{}, NodeSerialization::Json, hooks);
  start();
  worker_->say("garbage\n\"more\"\n");
  EXPECT_TRUE(run_until(loop_, [&] { return told("settled"); }));
  settle_down();
}

}  // namespace
}  // namespace holdfast
