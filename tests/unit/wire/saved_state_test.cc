#include "wire/saved_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json_members.h"

namespace holdfast {
namespace {

using std::chrono_literals::operator""s;
using ::testing::HasSubstr;

SavedInbox busy_inbox() {
  SavedInbox inbox;
  inbox.supervisor_end = "channel.17";
  inbox.worker_end = "channel.18";
  inbox.page = "page.9";
  inbox.unsent = {{"connection.41", "00ff"}};
  inbox.unsent_drain = TimePoint{5s};
  inbox.messages = {{80, 1}, {144, 2}};
  inbox.sent = 1'000'000'000'000;
  inbox.greeted = inbox.uses_page = true;
  return inbox;
}

SavedNodeInbox busy_node_inbox() {
  SavedNodeInbox inbox;
  SavedNodeChannel& channel = inbox.channel.emplace();
  channel.fd = "node.3";
  channel.session.phase = NodeSession::Phase::Draining;
  channel.session.connection_message = "\"connection\"";
  channel.session.servers = {{"7", {NodeServer::Kind::Unix, "/run/x", 0, 1}, 80, ListenerId{2}, true, 6}};
  channel.session.in_flight = {{41, 5, TimePoint{3s}, true, std::nullopt},
                               {42, std::nullopt, TimePoint{4s}, false, true}};
  channel.session.signs.adapter_spoke = true;
  channel.session.window = 9;
  channel.session.unsure = NodeSession::Unsure{77, TimePoint{5s}};
  channel.heard = "7b22";
  channel.to_send = {"0a"};
  channel.cut = true;
  channel.to_be_closed = true;
  inbox.unsent = {{"connection.51", "00"}};
  inbox.in_flight = {{41, {"connection.52", "01"}}};
  inbox.last_sent = 42;
  return inbox;
}

SavedState busy_state() {
  SavedState state;
  state.version = "1.2.3";
  state.boot = "b";
  state.pid = 42;
  state.epoch = 3;
  state.name = "web";
  state.config = "[supervisor]\nname = \"web\"\n";
  state.open_files = 1024;
  state.control = "control.1";
  state.numbers = {{"control.1", 17}};
  SavedPool& pool = state.pools.emplace_back();
  pool.name = "main";
  pool.found = Intake::Capture;
  pool.has_steering = false;
  pool.checks = 3;
  Fleet::Slot& slot = pool.fleet.slots.emplace_back();
  Fleet::Worker incumbent{};
  incumbent.id = WorkerId{7};
  incumbent.phase = Fleet::Draining{TimePoint{9s}, TimePoint{8s}};
  slot.incumbent = incumbent;
  slot.pause = Fleet::Backoff{TimePoint{10s}};
  slot.start_limit = StartLimit({TimePoint{1s}, TimePoint{2s}});
  pool.slots.emplace_back().inbox = busy_inbox();
  pool.slots[0].node_inbox = busy_node_inbox();
  pool.node = SavedNodeWorkers{NodeDialect::SocketIo,
                               {{{{NodeServer::Kind::Tcp6, "::", 3000, 0}, 1}}, {{1, "\"keys\""}}},
                               {{"uid", {WorkerId{7}, "/chat"}}},
                               {{"session", WorkerId{7}}},
                               {{WorkerId{7}, "newest"}},
                               {{"7", {"10.0.0.1 80 192.0.2.1 40000"}}}};
  pool.at_session_door = {{"connection.61", "02"}};
  SavedWorker& worker = pool.workers.emplace_back();
  worker.id = WorkerId{7};
  worker.pidfd = "pidfd.7";
  worker.offer.capture = true;
  worker.captured = {{"12345678901234567890", 0}};
  worker.told_to_end = Fleet::Why::Overdue;
  worker.notify_user = 1000;
  worker.served_before = 7;
  pool.listeners.push_back(
      {"main", ":8080", ":0", SavedListener::Stage::Leaving, false, "listener.3", 12, {{"queue-full", 2}}});
  pool.steered.push_back(
      {ListenerId{0},
       "main",
       ":8080",
       4096,
       {{SocketDomain::Inet6,
         {{"member.1", SavedGroup::Socket::Role::Control, 0}, {"member.2", SavedGroup::Socket::Role::Seat, 1}},
         2,
         5,
         true}},
       {SocketDomain::Inet}});
  pool.turns.push_back({1, {true, false}});
  pool.unplaced = {{"connection.42", "ab"}};
  pool.doors.push_back({ListenerId{0},
                        {{"192.0.2.1", TimePoint{5s}, TimePoint{4s}, TimePoint{6s}, 3, 9}},
                        {{"cookie", 2}},
                        {{"denied", 1}},
                        {{"192.0.2.1", {"10.0.0.1 80 192.0.2.1 40000"}}},
                        {"10.0.0.1 80 192.0.2.1 40000"}});
  return state;
}

std::string with_member(const std::string& json, const char* name, Json value) {
  Json object = parse_json(json);
  object[name] = std::move(value);
  return json_text(object);
}

TEST(SavedState, ComesBackAsItWas) {
  const std::string text = encode(busy_state());
  const Result<SavedState> read = decode_saved_state(text);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(encode(*read), text);
  EXPECT_EQ(read->pools[0].slots[0].inbox->sent, 1'000'000'000'000u);
  EXPECT_EQ(read->pools[0].steered[0].groups[0].sockets[1].seat, 1u);
  const auto& phase = std::get<Fleet::Draining>(read->pools[0].fleet.slots[0].incumbent->phase);
  EXPECT_EQ(phase.last_heartbeat, TimePoint{8s});
  const NodeSession::Saved& session = read->pools[0].slots[0].node_inbox->channel->session;
  EXPECT_EQ(session.in_flight[0].number, 5);
  EXPECT_EQ(session.in_flight[1].accepted, true);
  EXPECT_EQ(session.servers[0].asked, 6);
  EXPECT_EQ(session.unsure->asked, 77);
  EXPECT_TRUE(read->pools[0].slots[0].node_inbox->channel->cut);
  EXPECT_EQ(read->pools[0].node->sessions.at("session"), WorkerId{7});
  EXPECT_EQ(read->pools[0].node->newest_sessions.at(0).ids, "newest");
}

TEST(SavedState, IgnoresMembersThatItDoesNotKnow) {
  const std::string newer = with_member(encode(busy_state()), "moods", Json::array({1, 2}));
  const Result<SavedState> read = decode_saved_state(newer);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(encode(*read), encode(busy_state()));
}

TEST(SavedState, TakesDefaultsForMembersThatAreMissing) {
  Json older = parse_json(encode(busy_state()));
  older.erase("epoch");
  older["pools"][0]["slots"][0].erase("starts");
  const Result<SavedState> read = decode_saved_state(json_text(older));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->epoch, 0u);
  EXPECT_EQ(read->name, "web");
}

TEST(SavedState, RefusesANewerFormatAndSaysWhoWroteIt) {
  const Result<SavedState> read = decode_saved_state(with_member(encode(busy_state()), "format", kSavedFormat + 1));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("holdfast 1.2.3 wrote it in format 2"));
}

TEST(SavedState, RefusesWhatItMustKnowAndDoesNot) {
  SavedState state = busy_state();
  state.needs = {"telepathy"};
  const Result<SavedState> read = decode_saved_state(encode(state));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("'telepathy'"));
}

TEST(SavedState, NamesTheMemberThatDoesNotFit) {
  const auto fault_of = [](const Json& json) {
    const Result<SavedState> read = decode_saved_state(json_text(json));
    return read ? "" : read.error().message();
  };
  Json wrong = parse_json(encode(busy_state()));
  wrong["pools"][0]["fleet"]["slots"][0]["incumbent"]["phase"]["is"] = "dreaming";
  EXPECT_THAT(fault_of(wrong), HasSubstr("'phase'"));
  wrong = parse_json(encode(busy_state()));
  wrong["pools"][0]["slots"][0]["inbox"]["sent"] = -1;
  EXPECT_THAT(fault_of(wrong), HasSubstr("'sent'"));
  EXPECT_THAT(fault_of(Json::array()), HasSubstr("it is none"));
  EXPECT_THAT(fault_of(Json::object()), HasSubstr("it is none"));
}

// Names are the contract between versions, and stand in the order of the enumerators: each must have its own, and come back.
template <class T>
using Named = std::vector<std::pair<T, std::string>>;

template <class T, class Set, class Get>
void expect_names(const Named<T>& all, const char* where, Set set, Get get) {
  for (const auto& [value, name] : all) {
    SavedState state = busy_state();
    set(state, value);
    const std::string text = encode(state);
    EXPECT_EQ(parse_json(text)[Json::json_pointer(where)], name) << where;
    const Result<SavedState> read = decode_saved_state(text);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(get(*read), value) << where << " " << name;
  }
}

TEST(SavedState, NamesEveryEnumeratorAndReadsItBack) {
  expect_names(
      Named<Intake>{{Intake::Auto, "auto"},
                    {Intake::Sdk, "sdk"},
                    {Intake::ListenFds, "listen-fds"},
                    {Intake::Capture, "capture"},
                    {Intake::Node, "node"},
                    {Intake::None, "none"}},
      "/pools/0/found", [](SavedState& state, Intake value) { state.pools[0].found = value; },
      [](const SavedState& state) { return state.pools[0].found.value(); });
  expect_names(
      Named<SavedListener::Stage>{{SavedListener::Stage::Serving, "serving"},
                                  {SavedListener::Stage::Leaving, "leaving"},
                                  {SavedListener::Stage::Gone, "gone"}},
      "/pools/0/listeners/0/stage",
      [](SavedState& state, SavedListener::Stage value) { state.pools[0].listeners[0].stage = value; },
      [](const SavedState& state) { return state.pools[0].listeners[0].stage; });
  expect_names(
      Named<SocketDomain>{{SocketDomain::Inet, "inet"}, {SocketDomain::Inet6, "inet6"}},
      "/pools/0/steered/0/groups/0/domain",
      [](SavedState& state, SocketDomain value) { state.pools[0].steered[0].groups[0].domain = value; },
      [](const SavedState& state) { return state.pools[0].steered[0].groups[0].domain; });
  using Role = SavedGroup::Socket::Role;
  expect_names(
      Named<Role>{{Role::Control, "control"}, {Role::Seat, "seat"}, {Role::Spare, "spare"}, {Role::Adrift, "adrift"}},
      "/pools/0/steered/0/groups/0/sockets/0/role",
      [](SavedState& state, Role value) { state.pools[0].steered[0].groups[0].sockets[0].role = value; },
      [](const SavedState& state) { return state.pools[0].steered[0].groups[0].sockets[0].role; });
  expect_names(
      Named<Fleet::Why>{{Fleet::Why::Drained, "drained"},
                        {Fleet::Why::Hung, "hung"},
                        {Fleet::Why::NotReady, "not-ready"},
                        {Fleet::Why::Unhealthy, "unhealthy"},
                        {Fleet::Why::Misbehaved, "misbehaved"},
                        {Fleet::Why::Overdue, "overdue"},
                        {Fleet::Why::Stopping, "stopping"}},
      "/pools/0/workers/0/told_to_end",
      [](SavedState& state, Fleet::Why value) { state.pools[0].workers[0].told_to_end = value; },
      [](const SavedState& state) { return state.pools[0].workers[0].told_to_end.value(); });
}

TEST(SavedState, NamesEveryEnumeratorOfNodeWorkersAndReadsItBack) {
  using Phase = NodeSession::Phase;
  expect_names(
      Named<Phase>{
          {Phase::Open, "open"}, {Phase::Leaving, "leaving"}, {Phase::Draining, "draining"}, {Phase::Ended, "ended"}},
      "/pools/0/slots/0/node_inbox/channel/session/phase",
      [](SavedState& state, Phase value) { state.pools[0].slots[0].node_inbox->channel->session.phase = value; },
      [](const SavedState& state) { return state.pools[0].slots[0].node_inbox->channel->session.phase; });
  using Kind = NodeServer::Kind;
  expect_names(
      Named<Kind>{{Kind::Tcp4, "tcp4"},
                  {Kind::Tcp6, "tcp6"},
                  {Kind::Unix, "unix"},
                  {Kind::Udp, "udp"},
                  {Kind::Descriptor, "descriptor"}},
      "/pools/0/node/servers/taken/0/server/kind",
      [](SavedState& state, Kind value) { state.pools[0].node->servers.taken[0].server.kind = value; },
      [](const SavedState& state) { return state.pools[0].node->servers.taken[0].server.kind; });
  for (const NodeDialectWords& words : kNodeDialects) {
    expect_names(
        Named<NodeDialect>{{words.dialect, std::string(words.name)}}, "/pools/0/node/found",
        [](SavedState& state, NodeDialect value) { state.pools[0].node->found = value; },
        [](const SavedState& state) { return state.pools[0].node->found; });
  }
}

TEST(SavedState, NamesEveryEnumeratorOfAFleetAndReadsItBack) {
  using Stop = Fleet::Stop;
  expect_names(
      Named<Stop>{{Stop::No, "no"}, {Stop::Graceful, "graceful"}, {Stop::Immediate, "immediate"}},
      "/pools/0/fleet/stop", [](SavedState& state, Stop value) { state.pools[0].fleet.stop = value; },
      [](const SavedState& state) { return state.pools[0].fleet.stop; });
  using Cleaning = Fleet::Cleaning;
  expect_names(
      Named<Cleaning>{{Cleaning::NotNeeded, "not-needed"},
                      {Cleaning::Needed, "needed"},
                      {Cleaning::Asked, "asked"},
                      {Cleaning::Failed, "failed"}},
      "/pools/0/fleet/slots/0/cleaning",
      [](SavedState& state, Cleaning value) { state.pools[0].fleet.slots[0].cleaning = value; },
      [](const SavedState& state) { return state.pools[0].fleet.slots[0].cleaning; });
  using End = Fleet::WorkerEnd;
  expect_names(
      Named<End>{{End::Ended, "ended"}, {End::DoNotRestart, "do-not-restart"}},
      "/pools/0/fleet/slots/0/incumbent/phase/end",
      [](SavedState& state, End value) {
        state.pools[0].fleet.slots[0].incumbent->phase = Fleet::Gone{value, {}};
      },
      [](const SavedState& state) {
        return std::get<Fleet::Gone>(state.pools[0].fleet.slots[0].incumbent->phase).end;
      });
}

TEST(SavedState, NamesEveryPhaseAndPauseAndReadsItBack) {
  const std::vector<std::pair<Fleet::Phase, std::string>> phases = {
      {Fleet::Starting{}, "starting"}, {Fleet::Serving{}, "serving"}, {Fleet::Draining{}, "draining"},
      {Fleet::Ending{}, "ending"},     {Fleet::Killed{}, "killed"},   {Fleet::Gone{}, "gone"}};
  ASSERT_EQ(phases.size(), std::variant_size_v<Fleet::Phase>);
  for (const auto& [phase, name] : phases) {
    SavedState state = busy_state();
    state.pools[0].fleet.slots[0].incumbent->phase = phase;
    const std::string text = encode(state);
    EXPECT_EQ(parse_json(text)["pools"][0]["fleet"]["slots"][0]["incumbent"]["phase"]["is"], name);
    const Result<SavedState> read = decode_saved_state(text);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->pools[0].fleet.slots[0].incumbent->phase.index(), phase.index()) << name;
  }
  const std::vector<std::pair<Fleet::Pause, std::string>> pauses = {{Fleet::MayStart{}, "may-start"},
                                                                    {Fleet::Backoff{}, "backoff"},
                                                                    {Fleet::Resting{}, "resting"},
                                                                    {Fleet::Stopped{}, "stopped"}};
  ASSERT_EQ(pauses.size(), std::variant_size_v<Fleet::Pause>);
  for (const auto& [pause, name] : pauses) {
    SavedState state = busy_state();
    state.pools[0].fleet.slots[0].pause = pause;
    const std::string text = encode(state);
    EXPECT_EQ(parse_json(text)["pools"][0]["fleet"]["slots"][0]["pause"]["is"], name);
    const Result<SavedState> read = decode_saved_state(text);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->pools[0].fleet.slots[0].pause.index(), pause.index()) << name;
  }
}

TEST(SavedState, WritesBytesAsHexadecimalDigits) {
  EXPECT_EQ(hex_of(std::string("\x00\xff\x10", 3)), "00ff10");
  EXPECT_EQ(bytes_of_hex("00ff10"), std::string("\x00\xff\x10", 3));
  EXPECT_EQ(bytes_of_hex("0"), std::nullopt);
  EXPECT_EQ(bytes_of_hex("0g"), std::nullopt);
}

}  // namespace
}  // namespace holdfast
