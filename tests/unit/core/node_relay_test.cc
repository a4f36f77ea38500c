#include "core/node_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;

const std::vector<WorkerId> kAll{WorkerId{1}, WorkerId{2}, WorkerId{3}};
constexpr int kHeartbeat = 2;
constexpr int kFetchSocketsResponse = 8;
constexpr int kAdapterClose = 13;

NodeAdapterMessage message(int type, std::string uid, std::string requester = "") {
  return {type, std::move(uid), "/", std::move(requester), "{}"};
}

TEST(NodeRelay, WhatIsForAllGoesToAllOthers) {
  NodeRelay relay;
  EXPECT_THAT(relay.route(WorkerId{2}, message(kHeartbeat, "b"), kAll), ElementsAre(WorkerId{1}, WorkerId{3}));
}

TEST(NodeRelay, AnAnswerGoesToWhoHasAsked) {
  NodeRelay relay;
  (void)relay.route(WorkerId{1}, message(kHeartbeat, "a"), kAll);
  (void)relay.route(WorkerId{3}, message(kHeartbeat, "c"), kAll);
  EXPECT_THAT(relay.route(WorkerId{3}, message(kFetchSocketsResponse, "c", "a"), kAll), ElementsAre(WorkerId{1}));
  EXPECT_THAT(relay.route(WorkerId{3}, message(kFetchSocketsResponse, "c", "nobody"), kAll), IsEmpty());
}

TEST(NodeRelay, OfADeadWorkerTheOthersAreToldEachAdapter) {
  NodeRelay relay;
  (void)relay.route(WorkerId{1}, message(kHeartbeat, "a"), kAll);
  NodeAdapterMessage chat = message(kHeartbeat, "a2");
  chat.name_space = "/chat";
  (void)relay.route(WorkerId{1}, chat, kAll);
  (void)relay.route(WorkerId{2}, message(kHeartbeat, "b"), kAll);
  EXPECT_THAT(relay.on_gone(WorkerId{1}), ElementsAre(FieldsAre("a", "/"), FieldsAre("a2", "/chat")));
  EXPECT_THAT(relay.on_gone(WorkerId{1}), IsEmpty());
  EXPECT_THAT(relay.route(WorkerId{2}, message(kFetchSocketsResponse, "b", "a"), {WorkerId{2}, WorkerId{3}}),
              IsEmpty());
}

TEST(NodeRelay, AnAdapterThatHasSaidGoodbyeIsNotMourned) {
  NodeRelay relay;
  (void)relay.route(WorkerId{1}, message(kHeartbeat, "a"), kAll);
  EXPECT_THAT(relay.route(WorkerId{2}, message(kAdapterClose, "a"), kAll), ElementsAre(WorkerId{1}, WorkerId{3}));
  EXPECT_THAT(relay.route(WorkerId{1}, message(kAdapterClose, "a"), kAll), ElementsAre(WorkerId{2}, WorkerId{3}));
  EXPECT_THAT(relay.on_gone(WorkerId{1}), IsEmpty());
}

TEST(NodeRelay, AWorkerCannotMakeItRememberWithoutEnd) {
  NodeRelay relay;
  for (int i = 0; i < 100'000; i++) (void)relay.route(WorkerId{1}, message(kHeartbeat, std::to_string(i)), kAll);
  EXPECT_LT(relay.on_gone(WorkerId{1}).size(), 5000u);
}

}  // namespace
}  // namespace holdfast
