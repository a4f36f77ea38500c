// The bus, with workers that read when the test wants it.
#include "bus/bus.h"

#include <gmock/gmock.h>

#include "component/bus_station.h"

namespace holdfast {
namespace {

using testing::Each;
using testing::SizeIs;

// Publishes until somebody who does not read has more waiting than his channel holds.
void fill_channel(BusStation& station, std::size_t publisher, const std::string& topic) {
  const auto waits = [&] {
    std::uint64_t waiting = 0;
    for (const BusMemberStatus& member : station.bus().status().members) waiting += member.waiting;
    return waiting > 0;
  };
  for (int i = 0; i < 1000 && !waits(); i++) {
    station.publish(publisher, {{topic, std::string(60000, 'x')}});
    station.settle(publisher);
  }
  EXPECT_TRUE(waits());
}

TEST(Bus, WhoIsTakenOffInTheMiddleOfAFrameCostsTheOthersNothing) {
  BusConfig config;
  config.queue = 64;
  config.full = BusFull::Disconnect;
  BusStation station(config);
  const std::size_t slow = station.add({"fill", "a"});
  const std::size_t good = station.add({"a", "b"});
  const std::size_t other = station.add({"b"});
  const std::size_t publisher = station.add();
  fill_channel(station, publisher, "fill");
  const std::string text(8000, 't');
  station.publish(publisher, {{"a", text}, {"b", "1"}, {"a", text}, {"b", "2"}, {"a", text}, {"b", "3"}});
  EXPECT_TRUE(station.hears(good, [](const auto& heard) { return heard.messages.size() == 6; }))
      << station.heard(good).messages.size();
  EXPECT_THAT(station.heard(good).of("b"), testing::ElementsAre("1", "2", "3"));
  EXPECT_THAT(station.heard(good).of("a"), SizeIs(3));
  EXPECT_TRUE(station.hears(other, [](const auto& heard) { return heard.messages.size() == 3; }))
      << station.heard(other).messages.size();
  EXPECT_TRUE(station.hears(slow, [](const auto& heard) { return heard.ended; }));
  EXPECT_EQ(station.bus().status().disconnected, 1u);
}

}  // namespace
}  // namespace holdfast
