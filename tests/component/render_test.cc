#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>

#include "ctl/render_route.h"
#include "ctl/render_status.h"
#include "test_paths.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

// HOLDFAST_UPDATE_GOLDEN=1 writes what is drawn now: look at the difference before it is committed.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = HOLDFAST_SOURCE "/tests/golden/" + name;
  if (::getenv("HOLDFAST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  const std::string golden{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, golden) << name;
}

Status busy_fleet() {
  Status status;
  status.name = "web";
  status.version = "0.1.0";
  status.pid = 4711;
  status.uptime = 26h + 4min;
  status.state = "running";
  status.accepted = 12'345'678;
  status.handed = 12'345'670;
  status.waiting = 3;
  status.refused = {{"queue full", 4}, {"hold timeout", 1}};
  status.listeners = {{"http", "127.0.0.1:8080", 12'345'600, {{"queue full", 4}, {"hold timeout", 1}}, false, ""},
                      {"admin", "unix:/run/web/admin.sock", 78, {}, true, "no descriptors"}};
  PoolStatus& pool = status.pools.emplace_back(PoolStatus{"web", {"./worker", "--fast"}, "sdk", "pass", {}});
  const auto add = [&](std::uint32_t number, const char* state) -> SlotStatus& {
    SlotStatus& slot = pool.slots.emplace_back();
    slot.slot = number;
    slot.state = state;
    slot.buckets = slot.home_buckets = 128;
    return slot;
  };
  SlotStatus& serving = add(0, "serving");
  serving.worker = WorkerStatus{4712, "serving", 1, 26h + 4min};
  serving.worker->resident = std::uint64_t{1300} << 20;
  serving.handed = 12'300'000;
  serving.open = 812;
  serving.buckets = 256;
  SlotStatus& renewing = add(1, "serving");
  renewing.worker = WorkerStatus{4713, "serving", 1, 4min + 10s};
  renewing.others = {{4720, "starting", 2, 350ms}, {4699, "draining", 1, 3h}};
  renewing.worker->resident = 988'000;
  renewing.others[1].resident = 65'600'000;
  renewing.restarts = 2;
  renewing.handed = 45'670;
  renewing.open = 7;
  renewing.lost = 2;
  renewing.last_exit = "killed by signal 11 (SIGSEGV), core written";
  SlotStatus& falling = add(2, "backoff");
  falling.restarts = 5;
  falling.waiting = 3;
  falling.last_exit = "exited with code 3";
  falling.next_start = 1600ms;
  falling.protocol_errors = 1;
  falling.buckets = 0;
  SlotStatus& starting = add(3, "starting");
  starting.worker = WorkerStatus{4721, "starting", 1, 12ms};
  starting.restarts = 1;
  starting.last_exit = "killed by signal 9 (SIGKILL)";
  return status;
}

// Of each line, in characters; escape sequences take no room.
std::size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::size_t widest = 0;
  while (std::getline(lines, line)) {
    std::size_t width = 0;
    bool in_escape = false;
    for (const char c : line) {
      if (c == '\x1b') in_escape = true;
      if (!in_escape && (static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++width;
      if (in_escape && c == 'm') in_escape = false;
    }
    widest = std::max(widest, width);
  }
  return widest;
}

TEST(RenderStatus, ShowsABusyFleet) { expect_golden("status.txt", render_status(busy_fleet(), Colours::Off)); }

TEST(RenderStatus, TellsWhatDepartingWorkersHoldAndWhoIsIll) {
  Status status = busy_fleet();
  status.checks = 4;
  SlotStatus& slot = status.pools[0].slots[1];
  slot.others[1].open = 31;
  slot.others[1].draining_for = 12s;
  slot.others[1].ends_in = 18s;
  slot.worker->health = "unhealthy";
  slot.worker->last_check = "GET /healthz: 503 Service Unavailable";
  const std::string text = render_status(status, Colours::Off);
  EXPECT_THAT(text, testing::ContainsRegex("draining .* 31 .*12s, 18s left\n"));
  EXPECT_THAT(text, HasSubstr("\nslot 1 is unhealthy: GET /healthz: 503 Service Unavailable\n"));
  EXPECT_THAT(text, testing::ContainsRegex("accepted [0-9]+ \\+ checks 4"));
}

TEST(RenderStatus, TellsTheDialectOfNodeWorkersAndNotWhatTheyDoNotTell) {
  Status status = busy_fleet();
  status.pools[0].intake = "node";
  status.pools[0].node_dialect = "socket.io";
  const std::string text = render_status(status, Colours::Off);
  EXPECT_THAT(text, HasSubstr("node intake (socket.io), pass plane"));
  EXPECT_THAT(text, Not(HasSubstr(" 812 "))) << "how many connections are open";
}

TEST(RenderStatus, TellsWhatTheBusHasAgainstItsRedis) {
  Status status = busy_fleet();
  status.bus.fleet.redis = "redis://cache:6379/0";
  EXPECT_THAT(render_status(status, Colours::Off), Not(HasSubstr("waiting 3  ")));
  status.bus.fleet.stream_trouble = "OOM command not allowed";
  status.bus.fleet.waiting = 3;
  status.bus.fleet.malformed = 2;
  status.bus.fleet.reconnects = 1;
  status.bus.fleet.machines = {"elm/chat"};
  EXPECT_THAT(render_status(status, Colours::Off),
              HasSubstr("\nfleet  redis://cache:6379/0  sent 0  received 0  missing 0  unsent 0\n"
                        "  waiting 3  malformed 2  reconnects 1\n"
                        "  stream: OOM command not allowed\n"
                        "  hears elm/chat\n"));
}

TEST(RenderStatus, TellsWhomLimitsThatAreOnlyTriedWouldHaveKeptOut) {
  Status status = busy_fleet();
  EXPECT_THAT(render_status(status, Colours::Off), testing::Not(HasSubstr("dry run")));
  status.listeners[0].would_refuse = {{"banned", 0}, {"denied", 3}, {"source-rate", 12'000'000}};
  EXPECT_THAT(render_status(status, Colours::Off),
              HasSubstr("\nhttp would have kept out, but for its dry run: denied 3, source-rate 12.0M\n"));
}

TEST(RenderStatus, UsesColoursOnATerminalOnly) {
  expect_golden("status_colours.txt", render_status(busy_fleet(), Colours::On));
  EXPECT_THAT(render_status(busy_fleet(), Colours::Off), Not(HasSubstr("\x1b")));
}

TEST(RenderStatus, ShowsAFleetThatHasDoneNothingYet) {
  Status status;
  status.name = "web";
  status.version = "0.1.0";
  status.pid = 4711;
  status.uptime = 20ms;
  status.state = "running";
  status.listeners.push_back({"http", ":8080", 0, {}, false, ""});
  status.pools.push_back({"web", {"./worker"}, "sdk", "pass", {}});
  status.pools[0].slots.push_back({});
  status.pools[0].slots[0].state = "stopped";
  expect_golden("status_empty.txt", render_status(status, Colours::Off));
}

TEST(RenderStatus, ShowsWhenTheSumDoesNotHold) {
  Status status = busy_fleet();
  ++status.accepted;
  EXPECT_THAT(render_status(status, Colours::Off), HasSubstr("accepted 12345679 != handed"));
}

TEST(RenderStatus, TellsWhoIsOffTheBus) {
  Status status = busy_fleet();
  status.bus.members = {{.worker = "main/0"}, {.worker = "main/1", .is_off = true}};
  const std::string text = render_status(status, Colours::Off);
  EXPECT_THAT(text, HasSubstr("main/1 is off the bus\n"));
  EXPECT_THAT(text, Not(HasSubstr("main/0 is off")));
}

TEST(RenderStatus, FitsAHundredColumnsWhateverTheNamesAndNumbersAre) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const std::string longest(300, 'x');
  Status status = busy_fleet();
  status.name = longest;
  status.version = longest;
  status.uptime = 24h * 9999;
  status.listeners.push_back({longest, "unix:/" + longest, kMost, {{longest, kMost / 2}}, true, longest});
  status.pools[0].command = {longest, longest};
  SlotStatus& slot = status.pools[0].slots[0];
  slot.worker = WorkerStatus{4'194'304, "stopping", 4'000'000, 24h * 9999};
  slot.worker->resident = std::uint64_t{99} << 20;
  slot.slot = 255;
  slot.restarts = slot.handed = slot.waiting = slot.open = slot.lost = kMost;
  slot.buckets = 512;
  slot.home_buckets = 2;
  slot.state = "backoff";
  slot.next_start = 59min + 59s;
  slot.last_exit = longest;
  EXPECT_LE(widest_line(render_status(status, Colours::Off)), 100U);
  EXPECT_LE(widest_line(render_status(status, Colours::On)), 100U);
}

TEST(RenderStatus, LetsNoNameMoveTheCursor) {
  Status status = busy_fleet();
  status.name = "evil\x1b[2J";
  status.listeners[0].name = "two\nlines";
  status.pools[0].command = {"\r\x1b[31m"};
  const std::string text = render_status(status, Colours::Off);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("two?lines"));
}

TEST(RenderStatus, MemoryIsShort) {
  EXPECT_EQ(short_bytes(0), "0K");
  EXPECT_EQ(short_bytes(831'488), "812K");
  EXPECT_EQ(short_bytes(1023 << 10), "1.0M");
  EXPECT_EQ(short_bytes(101'200'000), "97M");
  EXPECT_EQ(short_bytes(std::uint64_t{800} << 20), "800M");
  EXPECT_EQ(short_bytes(std::uint64_t{1} << 30), "1.0G");
  EXPECT_EQ(short_bytes(std::numeric_limits<std::uint64_t>::max()), "16384P");
}

TEST(RenderStatus, DurationsHaveTwoUnitsAtMost) {
  EXPECT_EQ(short_duration(0ns), "0ms");
  EXPECT_EQ(short_duration(-5s), "0ms");
  EXPECT_EQ(short_duration(850ms), "850ms");
  EXPECT_EQ(short_duration(12s + 900ms), "12s");
  EXPECT_EQ(short_duration(4min), "4m");
  EXPECT_EQ(short_duration(4min + 10s), "4m 10s");
  EXPECT_EQ(short_duration(3h + 5min + 59s), "3h 5m");
  EXPECT_EQ(short_duration(12 * 24h + 4h), "12d 4h");
}

TEST(RenderStatus, LargeCountsAreShortened) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(999'999), "999999");
  EXPECT_EQ(short_count(1'000'000), "1.0M");
  EXPECT_EQ(short_count(12'345'678), "12.3M");
  EXPECT_EQ(short_count(999'960'000), "1.0G");
  EXPECT_EQ(short_count(std::numeric_limits<std::uint64_t>::max()), "18.4E");
}

TEST(RenderStatus, ExitsAreShortened) {
  EXPECT_EQ(short_exit("exited with code 3"), "code 3");
  EXPECT_EQ(short_exit("killed by signal 9 (SIGKILL)"), "SIGKILL");
  EXPECT_EQ(short_exit("killed by signal 11 (SIGSEGV), core written"), "SIGSEGV, core");
  EXPECT_EQ(short_exit("killed by signal 42"), "killed by signal 42");
  EXPECT_EQ(short_exit(""), "");
}

TEST(RenderRoute, TellsWhetherTheListenerHasRoutesAtAll) {
  RouteAnswer answer{"203.0.113.7", "203.0.113.7/32", 0x9c1f03aaU, 312, 512, "web", 2, 2, {2, 0}};
  answer.listener = "http";
  EXPECT_THAT(render_route(answer, RouteDetail::All, Colours::Off), HasSubstr("the listener has none: its own pool\n"));
  answer.routes = 3;
  EXPECT_THAT(render_route(answer, RouteDetail::All, Colours::Off), HasSubstr("none holds: the listener's own pool\n"));
}

TEST(RenderRoute, ShowsTheAnswerAndTheWayToIt) {
  RouteAnswer answer{"203.0.113.7", "203.0.113.7/32", 0x9c1f03aaU, 312, 512, "web", 2, 2, {2, 0, 3, 1}};
  const auto render = [&](RouteDetail detail) { return "\n" + render_route(answer, detail, Colours::Off); };
  std::string text = render_route(answer, RouteDetail::Placement, Colours::Off);
  answer.slot = 0;
  text += render(RouteDetail::Placement);
  answer.slot.reset();
  answer.preference.resize(40, 9);
  text += render(RouteDetail::Placement);
  answer.slot = 3;
  answer.home = 3;
  answer.preference = {3, 1};
  answer.decided_by = "key";
  answer.placement = "crc32";
  answer.key_name = "cookie(sid)";
  answer.key = "session-1";
  answer.listener = "http";
  answer.address_from = "proxy-header";
  answer.route = R"(2: { when = { host = "ws.*" }, pool = "web" })";
  answer.limits = {"source-rate = 100 in 1s for each /32 of IPv4 and /64 of IPv6"};
  answer.holder = 4711;
  text += render(RouteDetail::All);
  answer.refused = "source-rate";
  text += render(RouteDetail::Placement);
  answer.refused.clear();
  answer.decided_by = "load";
  answer.placement = "round-robin";
  answer.preference.clear();
  text += render(RouteDetail::Placement);
  expect_golden("route.txt", text);
}

}  // namespace
}  // namespace holdfast
