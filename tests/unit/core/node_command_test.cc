#include "core/node_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::Optional;
using testing::Pair;

using Command = std::vector<std::string>;

TEST(NodeCommand, NodeIsKnownByItsName) {
  for (const Command& command : {Command{"node", "app.js"}, Command{"/usr/bin/nodejs", "app.js"},
                                 Command{"/opt/node-22.1/bin/node", "a.mjs"}, Command{"node18", "app.js"},
                                 Command{"/usr/bin/env", "node", "app.js"}, Command{"env", "A=1", "node", "x.js"}}) {
    EXPECT_TRUE(runs_node(command)) << testing::PrintToString(command);
    EXPECT_FALSE(why_no_node_worker(command)) << testing::PrintToString(command);
  }
  for (const Command& command : {Command{"nodemon", "app.js"}, Command{"python3", "node"}, Command{"node_exporter"},
                                 Command{"./server"}, Command{}, Command{"env"}}) {
    EXPECT_FALSE(runs_node(command)) << testing::PrintToString(command);
  }
}

TEST(NodeCommand, WhatWouldTakeTheChannelIsRefusedWithTheReason) {
  for (const char* launcher : {"npm", "/usr/bin/npx", "yarn", "pnpm", "nodemon", "pm2"}) {
    EXPECT_TRUE(launcher_in({launcher, "start"}));
    EXPECT_TRUE(launcher_in({"env", "NODE_ENV=production", launcher, "start"}));
    EXPECT_THAT(why_no_node_worker({launcher, "start"}), Optional(AllOf(HasSubstr("channel"), HasSubstr("node"))));
  }
}

TEST(NodeCommand, OnlyALauncherIsOne) {
  for (const Command& command : {Command{"node", "npm"}, Command{"./npm-like"}, Command{}, Command{"env"}}) {
    EXPECT_FALSE(launcher_in(command)) << testing::PrintToString(command);
  }
}

TEST(NodeCommand, AWorkerNeedsAScript) {
  EXPECT_THAT(why_no_node_worker({"node"}), Optional(HasSubstr("no script")));
  EXPECT_THAT(why_no_node_worker({"node", "--inspect"}), Optional(HasSubstr("no script")));
  EXPECT_THAT(why_no_node_worker({"node", "-e", "x()"}), Optional(HasSubstr("-e")));
  EXPECT_FALSE(why_no_node_worker({"node", "app.js", "-e", "x"}));
  EXPECT_FALSE(why_no_node_worker({"node", "-r", "./tracing.js", "app.js"}));
  EXPECT_FALSE(why_no_node_worker({"./server", "-e"}));
}

TEST(NodeCommand, TheEnvironmentTellsWhereTheChannelIs) {
  const auto cluster = node_environment(NodeDialect::Auto, WorkerId{1}, SlotId{3});
  EXPECT_THAT(cluster, Contains(Pair("NODE_CHANNEL_FD", "3")));
  EXPECT_THAT(cluster, Contains(Pair("NODE_UNIQUE_ID", "1")));
  EXPECT_THAT(cluster, Contains(Pair("NODE_CHANNEL_SERIALIZATION_MODE", "json")));
  EXPECT_THAT(node_environment(NodeDialect::Auto, WorkerId{1}, SlotId{3}, NodeSerialization::Advanced),
              Contains(Pair("NODE_CHANNEL_SERIALIZATION_MODE", "advanced")));
  EXPECT_THAT(cluster, Contains(Pair("NODE_APP_INSTANCE", "3")));
  EXPECT_THAT(node_environment(NodeDialect::Plain, WorkerId{1}, SlotId{0}), Not(Contains(Key("NODE_UNIQUE_ID"))));
}

}  // namespace
}  // namespace holdfast
