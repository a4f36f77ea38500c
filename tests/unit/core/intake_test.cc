#include "core/intake.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Offer = Settlement::Offer;

TEST(Settlement, UnderAutoAWorkerIsOfferedEverythingUntilOneShowsWhatItIs) {
  const Settlement open(Intake::Auto, Plane::Auto);
  EXPECT_EQ(open.intake(), std::nullopt);
  EXPECT_EQ(open.offer(), (Offer{.channel = true, .sockets = false, .listen_fds = true, .capture = true}));
}

TEST(Settlement, WhileItIsOpenClientsWaitAtTheSlotsSockets) {
  EXPECT_EQ(Settlement(Intake::Auto, Plane::Auto).plane(), Plane::Steer);
  EXPECT_EQ(Settlement(Intake::Auto, Plane::Pass).plane(), Plane::Steer);
}

TEST(Settlement, AHelloMakesItTheSdkInThePassPlane) {
  Settlement pool(Intake::Auto, Plane::Auto);
  EXPECT_TRUE(pool.on_hello());
  EXPECT_EQ(pool.intake(), Intake::Sdk);
  EXPECT_EQ(pool.plane(), Plane::Pass);
  EXPECT_EQ(pool.offer(), (Offer{.channel = true, .sockets = false, .listen_fds = false, .capture = false}));
}

TEST(Settlement, TheSdkIsSteeredWhereThatIsWished) {
  Settlement pool(Intake::Auto, Plane::Steer);
  EXPECT_TRUE(pool.offer().sockets);
  EXPECT_TRUE(pool.on_hello());
  EXPECT_EQ(pool.plane(), Plane::Steer);
  EXPECT_EQ(pool.offer(), (Offer{.channel = true, .sockets = true, .listen_fds = false, .capture = false}));
}

TEST(Settlement, ABindMakesItCapture) {
  Settlement pool(Intake::Auto, Plane::Auto);
  EXPECT_TRUE(pool.on_capture());
  EXPECT_EQ(pool.intake(), Intake::Capture);
  EXPECT_EQ(pool.plane(), Plane::Steer);
  EXPECT_EQ(pool.offer(), (Offer{.channel = false, .sockets = false, .listen_fds = false, .capture = true}));
}

TEST(Settlement, TheFirstSignCountsAndNoLaterOne) {
  Settlement pool(Intake::Auto, Plane::Auto);
  EXPECT_TRUE(pool.on_hello());
  EXPECT_FALSE(pool.on_hello());
  EXPECT_FALSE(pool.on_capture());
  EXPECT_FALSE(pool.on_ready_without_sign());
  EXPECT_EQ(pool.intake(), Intake::Sdk);
}

TEST(Settlement, WhoIsReadyWithoutASignHasTakenTheInheritedSockets) {
  Settlement pool(Intake::Auto, Plane::Auto);
  EXPECT_TRUE(pool.on_ready_without_sign());
  EXPECT_FALSE(pool.on_ready_without_sign());
  EXPECT_EQ(pool.intake(), Intake::ListenFds);
  EXPECT_EQ(pool.plane(), Plane::Steer);
}

TEST(Settlement, ALaterSignOverrulesThatConclusion) {
  for (const Intake later : {Intake::Sdk, Intake::Capture}) {
    Settlement pool(Intake::Auto, Plane::Auto);
    EXPECT_TRUE(pool.on_ready_without_sign());
    EXPECT_TRUE(pool.offer().channel && pool.offer().capture);
    EXPECT_TRUE(later == Intake::Sdk ? pool.on_hello() : pool.on_capture());
    EXPECT_EQ(pool.intake(), later);
  }
}

TEST(Settlement, WhatIsWishedIsSettledAndNoSignChangesIt) {
  Settlement pool(Intake::ListenFds, Plane::Auto);
  EXPECT_EQ(pool.intake(), Intake::ListenFds);
  EXPECT_FALSE(pool.on_hello());
  EXPECT_FALSE(pool.on_capture());
  EXPECT_EQ(pool.offer(), (Offer{.channel = false, .sockets = false, .listen_fds = true, .capture = false}));
}

TEST(Settlement, WhereTheKernelDoesNotSteerOnlyTheSdkIsLeftAndIsPassed) {
  Settlement open(Intake::Auto, Plane::Steer);
  open.forgo_steering();
  EXPECT_EQ(open.intake(), Intake::Sdk);
  EXPECT_EQ(open.plane(), Plane::Pass);
  EXPECT_EQ(open.offer(), (Offer{.channel = true, .sockets = false, .listen_fds = false, .capture = false}));
  Settlement wished(Intake::Sdk, Plane::Steer);
  wished.forgo_steering();
  EXPECT_EQ(wished.plane(), Plane::Pass);
}

TEST(Settlement, NodeIsPassedItsConnectionsOverAChannelOfItsOwn) {
  Settlement pool(Intake::Node, Plane::Auto);
  EXPECT_EQ(pool.plane(), Plane::Pass);
  EXPECT_FALSE(pool.on_hello() || pool.on_capture() || pool.on_ready_without_sign());
  EXPECT_EQ(pool.offer(),
            (Offer{.channel = false, .sockets = false, .listen_fds = false, .capture = false, .node = true}));
}

TEST(Settlement, NoneIsOfferedNothing) {
  const Settlement pool(Intake::None, Plane::Auto);
  EXPECT_EQ(pool.plane(), Plane::Self);
  EXPECT_EQ(pool.offer(), Offer{});
}

}  // namespace
}  // namespace holdfast
