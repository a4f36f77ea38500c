// The inbox of a Node.js worker whose supervisor was killed: the state that the next one has is older than the channel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
#include "wire/node_codec.h"
#include "worker/node_inbox.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NodeInboxRecover : public testing::Test {
 protected:
  void start(NodeSession::Policy policy = {}, NodeSerialization serialization = NodeSerialization::Json) {
    policy_ = std::move(policy);
    serialization_ = serialization;
    inbox_ = std::make_unique<NodeInbox>(loop_, policy_, serialization_, hooks());
    Result<UniqueFd> end = inbox_->open_channel();
    ASSERT_TRUE(end);
    worker_.emplace(*std::move(end));
  }
  void start_and_listen() {
    start();
    worker_->say(listening(3000));
    ASSERT_TRUE(run_until(loop_, [&] { return told("ready"); }));
    EXPECT_THAT(worker_->read_all(), HasSubstr("\"errno\":null"));
  }
  NodeInbox::Hooks hooks() {
    NodeInbox::Hooks hooks;
    hooks.on_query = [this](NodeInbox&, const NodeQuery& query) { return servers_.answer(query.server, query.data); };
    hooks.on_ready = [this](NodeInbox&) { told_.push_back("ready"); };
    hooks.on_accepting = [this](NodeInbox&, bool yes) { told_.push_back(yes ? "accepts" : "stops accepting"); };
    hooks.on_leaves = [this](NodeInbox&, const std::string& why) { told_.push_back("leaves: " + why); };
    hooks.on_came_back = [this](NodeInbox&) { told_.push_back("came back"); };
    hooks.on_heard = [this](NodeInbox&, const NodeSession::Heard& heard) {
      if (const auto* text = std::get_if<NodeText>(&heard.message)) told_.push_back("heard " + text->payload);
    };
    hooks.on_garbage = [this](NodeInbox&, const Error& error) { told_.push_back("garbage: " + error.message()); };
    hooks.on_room = [] {};
    hooks.before_acting = [this] {
      if (before_acting_) before_acting_();
    };
    return hooks;
  }
  void put(std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
      ConnectionRecord record{};
      record.id = ++last_;
      inbox_->put(Connection{copy_of(pipe_.read), record, {}});
    }
    (void)inbox_->flush();
  }
  // From here on the state is an old one.
  void save() {
    FdList fds;
    saved_ = inbox_->save(fds, SavedFor::SuddenEnd);
    for (const auto& [name, fd] : fds.numbers()) kept_.put(name, copy_of(BorrowedFd(fd)));
  }
  void kill_supervisor_and_start_the_next() {
    inbox_.reset();
    run_for(loop_, Duration::zero());  // what it had is closed
    (void)worker_->read_all();
    told_.clear();
    inbox_ = NodeInbox::adopt(loop_, policy_, serialization_, hooks(), saved_, kept_);
    inbox_->recover();
    (void)inbox_->flush();
    EXPECT_THAT(worker_->read_all(), IsEmpty()) << "said before anybody knows that it was";
  }
  // The worker reads the question, and answers it.
  void answer_question() {
    std::string text;
    ASSERT_TRUE(run_until(loop_, [&] {
      text += worker_->read_all();
      return text.ends_with("\n");
    }));
    EXPECT_THAT(text, HasSubstr(R"("key":"holdfast:0")"));
    EXPECT_EQ(worker_->fds().size(), 1U) << text;
    worker_->fds().clear();
    worker_->say(kAcknowledged + accepted(number_in(text), "false"));
  }
  static std::int64_t number_in(const std::string& text) {
    const std::string before = "\"seq\":";
    return std::stoll(text.substr(text.rfind(before) + before.size()));
  }
  [[nodiscard]] bool told(const std::string& what) const { return std::count(told_.begin(), told_.end(), what) > 0; }
  static UniqueFd copy_of(BorrowedFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

  Pipe pipe_ = make_pipe();
  Loop loop_;
  NodeServers servers_{{{*parse_listen_address(":3000")}, {*parse_listen_address(":3001")}}};
  NodeSession::Policy policy_;
  NodeSerialization serialization_ = NodeSerialization::Json;
  std::unique_ptr<NodeInbox> inbox_;
  std::optional<PlayedNodeWorker> worker_;
  SavedNodeInbox saved_;
  FdTable kept_;
  std::vector<std::string> told_;
  std::function<void()> before_acting_;
  std::uint64_t last_ = 0;
};

TEST_F(NodeInboxRecover, AnswersToWhatTheOneBeforeHasSentAreNobodys) {
  start_and_listen();
  save();
  put(3);
  ASSERT_TRUE(run_until(loop_, [&] { return worker_->read_all().empty() && worker_->fds().size() == 3; }));
  worker_->fds().clear();
  kill_supervisor_and_start_the_next();
  worker_->say(kAcknowledged + accepted(1) + kAcknowledged + accepted(2) + kAcknowledged);
  put(2);
  answer_question();
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += worker_->read_all();
    return worker_->fds().size() == 2;
  }));
  EXPECT_EQ(inbox_->account().waiting, 2U);
  const std::int64_t second = number_in(text);
  worker_->say(kAcknowledged + accepted(second - 1) + kAcknowledged + accepted(second));
  ASSERT_TRUE(run_until(loop_, [&] { return inbox_->account().taken == 2; }));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(NodeInboxRecover, WhatWasOnItsWayCountsAsTheWorkers) {
  start_and_listen();
  put(3);
  save();
  EXPECT_THAT(saved_.in_flight, IsEmpty());
  kill_supervisor_and_start_the_next();
  EXPECT_EQ(inbox_->account().taken, 3U);
  EXPECT_EQ(inbox_->account().waiting, 0U);
}

TEST_F(NodeInboxRecover, TheEndOfAMessageWhoseBeginningWasReadIsPassedOverAndNothingElse) {
  start_and_listen();
  save();
  kill_supervisor_and_start_the_next();
  worker_->say(":[1,2]}}\n\"whole\"\n");
  ASSERT_TRUE(run_until(loop_, [&] { return told("heard \"whole\""); }));
  worker_->say(":[1,2]}}\n");
  ASSERT_TRUE(run_until(loop_, [&] { return told_.size() == 2; }));
  EXPECT_THAT(told_.back(), HasSubstr("garbage"));
}

TEST_F(NodeInboxRecover, GarbageThatFollowsAWholeMessageIsGarbage) {
  start_and_listen();
  save();
  kill_supervisor_and_start_the_next();
  worker_->say("\"whole\"\n}\n");
  ASSERT_TRUE(run_until(loop_, [&] { return told_.size() == 2; }));
  EXPECT_THAT(told_.back(), HasSubstr("garbage"));
}

TEST_F(NodeInboxRecover, OfFramesTheMiddleOfOneIsTheEndOfUnderstanding) {
  start({.dialect = NodeDialect::Plain}, NodeSerialization::Advanced);
  inbox_->consider_ready();
  save();
  kill_supervisor_and_start_the_next();
  worker_->say(std::string("\0\0\0\x04\xff\x0fIx", 8).substr(2));
  ASSERT_TRUE(run_until(loop_, [&] { return !told_.empty(); }));
  EXPECT_THAT(told_, ElementsAre("leaves: the supervisor before us was killed in the middle of a message from it"));
}

TEST_F(NodeInboxRecover, WhoWasToldHalfOfAMessageIsToldNothingMore) {
  start_and_listen();
  unsigned kept = 0;
  before_acting_ = [&] {
    kept++;
    save();
  };
  EXPECT_TRUE(inbox_->say(NodeSay{'"' + std::string(4 * 1024 * 1024, 'm') + '"'}));
  ASSERT_EQ(kept, 1U);
  EXPECT_TRUE(saved_.channel->cut);
  EXPECT_THAT(saved_.channel->to_send, IsEmpty());
  inbox_.reset();
  run_for(loop_, Duration::zero());
  (void)worker_->read_all();
  inbox_ = NodeInbox::adopt(loop_, policy_, serialization_, hooks(), saved_, kept_);
  inbox_->recover();
  EXPECT_THAT(told_.back(), HasSubstr("leaves: the supervisor before us was killed in the middle of a message to it"));
  put(1);
  EXPECT_FALSE(inbox_->say(NodeSay{"1"}));
  inbox_->drain({});
  worker_->say("\"what it says does not matter\"\n");
  run_for(loop_, std::chrono::milliseconds(20));
  EXPECT_THAT(worker_->read_all(), IsEmpty());
  EXPECT_FALSE(worker_->closed());
}

TEST_F(NodeInboxRecover, AServerIsKeptBeforeItIsGrantedAndGrantedOnceMore) {
  start();
  std::string read_by_then;
  before_acting_ = [&] {
    read_by_then += worker_->read_all();
    save();
  };
  const std::string lines = listening(3000);
  worker_->say(lines.substr(0, lines.find('\n') + 1));
  std::string granted;
  ASSERT_TRUE(run_until(loop_, [&] {
    granted += worker_->read_all();
    return granted.ends_with("\n");
  }));
  EXPECT_THAT(read_by_then, IsEmpty()) << "told before it was kept";
  before_acting_ = {};
  const auto key_in = [](const std::string& text) {
    const std::string before = "\"key\":\"";
    const std::size_t start = text.find(before) + before.size();
    return text.substr(start, text.find('"', start) - start);
  };
  kill_supervisor_and_start_the_next();
  std::string again;
  ASSERT_TRUE(run_until(loop_, [&] {
    again += worker_->read_all();
    return again.ends_with("\n");
  }));
  EXPECT_EQ(key_in(again), key_in(granted));
  EXPECT_THAT(again, HasSubstr("\"ack\":1"));
  worker_->say(lines.substr(lines.find('\n') + 1));
  EXPECT_TRUE(run_until(loop_, [&] { return told("ready"); }));
}

}  // namespace
}  // namespace holdfast
