#include "wire/fleet_beat.h"

#include <gmock/gmock.h>

namespace holdfast {
namespace {

TEST(FleetBeat, IsReadBackAsItWasWritten) {
  const FleetMachine machine{"oak/web", "oak:/run/web.sock", {{"chat", {true, false, true}}, {"game", {}}}, 1000};
  EXPECT_EQ(parse_fleet_machine(to_json(machine)), machine);
}

TEST(FleetBeat, OfAnotherVersionTellsWhatCanBeRead) {
  EXPECT_EQ(parse_fleet_machine(R"({"machine":"oak","more":[1]})"), (FleetMachine{"oak", "oak", {}}));
  EXPECT_EQ(parse_fleet_machine("{"), FleetMachine{});
  EXPECT_TRUE(
      parse_fleet_machine(R"({"pools":[{"name":"a","serving":")" + std::string(300, '1') + R"("}]})").pools.empty())
      << "no pool has so many slots";
}

}  // namespace
}  // namespace holdfast
