#include "core/node_guess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Optional;

using D = NodeDialect;

std::optional<NodeDialect> guess(const NodeProgram& program, const NodeSigns& signs = {}) {
  const std::optional<NodeGuess> guess = guess_node_dialect(program, signs);
  return guess ? std::optional(guess->dialect) : std::nullopt;
}

TEST(NodeGuess, AScriptNamesItsLibrary) {
  EXPECT_EQ(guess({"const sticky = require('sticky-session');", {}}), D::StickySession);
  EXPECT_EQ(guess({"import { listen } from \"sticky-listen\"", {}}), D::StickyListen);
  EXPECT_EQ(guess({"import{setupWorker}from`@socket.io/sticky`", {}}), D::SocketIo);
  EXPECT_EQ(guess({"const { setupWorker } = require('@socket.io/sticky');", {{"sticky-session", "1.1.2"}}}),
            D::SocketIo)
      << "the script counts for more than what is installed";
}

TEST(NodeGuess, TheVersionOfStickySessionDecides) {
  const auto with = [](const char* version) {
    return guess({"require('sticky-session')", {{"sticky-session", version}}});
  };
  for (const char* version : {"0.1.4", "^0.1.0", "~0.x", "0"}) EXPECT_EQ(with(version), D::StickySession0) << version;
  for (const char* version : {"1.1.2", "^1.0", "latest", "*", "10.0.0", ""}) {
    EXPECT_EQ(with(version), D::StickySession) << version;
  }
}

TEST(NodeGuess, RecipesAndBundlesHaveTheWords) {
  EXPECT_EQ(guess({"if (message !== 'sticky-session:connection') return;", {}}), D::StickySession0);
  EXPECT_EQ(guess({R"(if(e.type==="sticky:connection"))", {}}), D::SocketIo);
}

TEST(NodeGuess, WithoutAScriptThePackageTells) {
  EXPECT_EQ(guess({"require('./app')", {{"express", "5"}, {"@socket.io/sticky", "^2.0.1"}}}), D::SocketIo);
  EXPECT_EQ(guess({"", {{"sticky-session", "^0.1.0"}}}), D::StickySession0);
  EXPECT_EQ(guess({"", {{"sticky-session-of-mine", "1"}, {"sticky-cluster", "0.3.5"}}}), std::nullopt);
}

TEST(NodeGuess, SeveralAreNone) {
  EXPECT_EQ(guess({"require('sticky-session'); require('@socket.io/sticky')", {}}), std::nullopt);
  EXPECT_EQ(guess({"", {{"sticky-session", "1"}, {"sticky-listen", "3"}}}, {true, true}), std::nullopt);
}

TEST(NodeGuess, WordsInPassingAreNone) {
  EXPECT_EQ(guess({"// like sticky-session, but 'sticky-session-redis' and \"@socket.io/sticky'", {}}), std::nullopt);
}

TEST(NodeGuess, WhatAWorkerSaysComesLast) {
  EXPECT_EQ(guess({}, {.said_ready = true}), D::Plain);
  EXPECT_EQ(guess({}, {.said_ready = true, .adapter_spoke = true}), D::SocketIo);
  EXPECT_EQ(guess({"", {{"sticky-listen", "3"}}}, {.said_ready = true}), D::StickyListen);
  EXPECT_EQ(guess({}, {.adapter_spoke = true}), std::nullopt) << "its server may be still to come";
  EXPECT_EQ(guess({}), std::nullopt);
  EXPECT_THAT(guess_node_dialect({}, {.said_ready = true})->why, HasSubstr("'ready'"));
}

TEST(NodeScript, IsTheFirstWordThatIsNoOption) {
  using Command = std::vector<std::string>;
  EXPECT_THAT(node_script_in({"node", "app.js", "b.js"}), Optional(std::string("app.js")));
  EXPECT_THAT(node_script_in({"/usr/bin/node", "."}), Optional(std::string(".")));
  EXPECT_THAT(
      node_script_in({"node", "-r", "dotenv/config", "--import", "./trace.mjs", "--max-old-space-size=99", "app"}),
      Optional(std::string("app")));
  EXPECT_THAT(node_script_in({"env", "A=1", "node", "app.js"}), Optional(std::string("app.js")));
  EXPECT_THAT(node_script_in({"deno", "run", "-A", "app.ts", "x.js"}), Optional(std::string("app.ts")));
  for (const Command& command :
       {Command{}, Command{"env"}, Command{"node"}, Command{"node", "-r"}, Command{"deno", "run"}}) {
    EXPECT_EQ(node_script_in(command), std::nullopt) << testing::PrintToString(command);
  }
}

}  // namespace
}  // namespace holdfast
