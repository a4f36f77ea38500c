#include "core/admission.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include "core/cidr.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr HashKey kKey{0x01234567, 0x89abcdef};
constexpr TimePoint kStart{std::chrono::hours(1)};

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }
const IpAddress kClient = ip("192.0.2.1");

TEST(Admission, LetsEverythingInWhereThereIsNoLimit) {
  Admission admission({}, kKey);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
  EXPECT_EQ(admission.connections(), 1000U);
}

TEST(Admission, ASourceMayComeSoOftenInAPeriod) {
  Admission admission({.rate = 4, .rate_period = 1s}, kKey);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted()) << i;
  EXPECT_EQ(admission.on_connection(kClient, kStart).refused_by, Limit::SourceRate);
  EXPECT_EQ(admission.on_connection(kClient, kStart + 249ms).refused_by, Limit::SourceRate);
  EXPECT_TRUE(admission.on_connection(kClient, kStart + 250ms).admitted()) << "what is refused takes no room";
  EXPECT_EQ(admission.on_connection(kClient, kStart + 250ms).refused_by, Limit::SourceRate);
  EXPECT_TRUE(admission.on_connection(ip("192.0.2.2"), kStart).admitted()) << "another source";
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(admission.on_connection(kClient, kStart + 1h).admitted()) << i;
}

TEST(Admission, ASourceIsWhatThePrefixSays) {
  Admission admission({.source = {.v4 = 24, .v6 = 56}, .source_connections = 1}, kKey);
  EXPECT_TRUE(admission.on_connection(ip("192.0.2.1"), kStart).admitted());
  EXPECT_FALSE(admission.on_connection(ip("192.0.2.200"), kStart).admitted());
  EXPECT_TRUE(admission.on_connection(ip("192.0.3.1"), kStart).admitted());
  EXPECT_TRUE(admission.on_connection(ip("2001:db8:0:100::1"), kStart).admitted());
  EXPECT_FALSE(admission.on_connection(ip("2001:db8:0:1ff::2"), kStart).admitted());
  EXPECT_TRUE(admission.on_connection(ip("2001:db8:0:200::1"), kStart).admitted());
}

TEST(Admission, AnotherOneGoesOnWithWhatMakesADifference) {
  const AdmissionPolicy policy{.rate = 2, .rate_period = 1min, .ban_after = 2, .ban_time = 1h, .sources = 4};
  Admission first(policy, kKey);
  const IpAddress banned = ip("192.0.2.7");
  for (int i = 0; i < 4; ++i) (void)first.on_connection(banned, kStart);
  (void)first.on_connection(kClient, kStart + 2min);
  (void)first.on_connection(ip("192.0.2.2"), kStart + 3min);
  (void)first.on_connection(ip("192.0.2.2"), kStart + 3min);
  const TimePoint now = kStart + 3min;
  const std::vector<Admission::Memory> memories = first.memories(10, now);
  ASSERT_EQ(memories.size(), 2u) << "whose rate is full again need not be remembered";
  EXPECT_EQ(memories.front().address, banned) << "the one that was seen last comes last";
  Admission second(policy, kKey);
  for (const Admission::Memory& memory : memories) second.recall(memory, now);
  EXPECT_EQ(second.foresee(banned, now).refused_by, Limit::Ban);
  EXPECT_EQ(second.foresee(ip("192.0.2.2"), now).refused_by, Limit::SourceRate);
  EXPECT_EQ(second.foresee(kClient, now).refused_by, std::nullopt);
  EXPECT_EQ(second.foresee(banned, kStart + 61min).refused_by, std::nullopt);
  EXPECT_EQ(first.memories(1, now).front().address, ip("192.0.2.2"));
}

TEST(Admission, AClosedConnectionMakesRoom) {
  Admission admission({.source_connections = 2}, kKey);
  const AdmissionVerdict first = admission.on_connection(kClient, kStart);
  EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
  EXPECT_EQ(admission.on_connection(kClient, kStart).refused_by, Limit::SourceConnections);
  admission.on_closed(*first.ticket);
  EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
}

TEST(Admission, WhatAnotherOneHasLetInCountsUntilItIsClosed) {
  Admission first({.source_connections = 2}, kKey);
  const AdmissionVerdict before = first.on_connection(kClient, kStart);
  EXPECT_EQ(first.source_of(*before.ticket), kClient);
  ASSERT_EQ(first.memories(10, kStart).size(), 1u) << "one that has something open is remembered";
  Admission second({.source_connections = 2}, kKey);
  const AdmissionTicket open = second.recall_open(kClient, kStart);
  second.recall(first.memories(10, kStart).front(), kStart);
  EXPECT_EQ(second.heaviest(1, kStart).front().connections, 1u);
  EXPECT_TRUE(second.on_connection(kClient, kStart).admitted());
  EXPECT_EQ(second.on_connection(kClient, kStart).refused_by, Limit::SourceConnections);
  second.on_closed(open);
  EXPECT_TRUE(second.on_connection(kClient, kStart).admitted());
  EXPECT_EQ(second.connections(), 2u);
}

TEST(Admission, BansASourceThatIsRefusedTooOften) {
  Admission admission({.source_connections = 1, .ban_after = 3, .ban_within = 10s, .ban_time = 60s}, kKey);
  const AdmissionVerdict open = admission.on_connection(kClient, kStart);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admission.on_connection(kClient, kStart).refused_by, Limit::SourceConnections);
  admission.on_closed(*open.ticket);
  EXPECT_EQ(admission.on_connection(kClient, kStart + 59s).refused_by, Limit::Ban);
  EXPECT_TRUE(admission.on_connection(ip("192.0.2.2"), kStart).admitted());
  EXPECT_TRUE(admission.on_connection(kClient, kStart + 60s).admitted())
      << "what comes during a ban does not prolong it";
}

TEST(Admission, RefusalsThatAreLongPastDoNotBan) {
  Admission admission({.source_connections = 1, .ban_after = 3, .ban_within = 10s}, kKey);
  EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(admission.on_connection(kClient, kStart + i * 6s).refused_by, Limit::SourceConnections) << i;
  }
}

TEST(Admission, ADryRunAdmitsAndSaysWhatWouldHaveRefused) {
  Admission admission({.rate = 2, .rate_period = 1s, .tried = Limit::SourceRate}, kKey);
  std::vector<LimitSet> noted;
  for (int i = 0; i < 8; ++i) {
    const AdmissionVerdict verdict = admission.on_connection(kClient, kStart + i * 250ms);
    EXPECT_TRUE(verdict.admitted());
    noted.push_back(verdict.would_refuse);
  }
  constexpr LimitSet kNo, kRate = Limit::SourceRate;
  EXPECT_THAT(noted, testing::ElementsAre(kNo, kNo, kNo, kRate, kNo, kRate, kNo, kRate))
      << "exactly what would be refused if the limit were enforced";
}

TEST(Admission, ALimitInDryRunBansNobodyInEarnest) {
  AdmissionPolicy policy{.source_connections = 1, .ban_after = 1};
  policy.tried = Limit::SourceConnections;
  Admission earnest(policy, kKey);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(earnest.on_connection(kClient, kStart).admitted());

  policy.tried |= Limit::Ban;
  Admission dry(policy, kKey);
  for (int i = 0; i < 3; ++i) {
    const AdmissionVerdict verdict = dry.on_connection(kClient, kStart);
    EXPECT_TRUE(verdict.admitted());
    const LimitSet kNoted[] = {{}, Limit::SourceConnections, Limit::SourceConnections | LimitSet(Limit::Ban)};
    EXPECT_EQ(verdict.would_refuse, kNoted[i]);
  }
}

TEST(Admission, AnEnforcedLimitRefusesWhateverADryRunSays) {
  AdmissionPolicy policy{.rate = 1, .rate_period = 1s, .source_connections = 1};
  policy.tried = Limit::SourceRate;
  Admission admission(policy, kKey);
  EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
  const AdmissionVerdict verdict = admission.on_connection(kClient, kStart);
  EXPECT_EQ(verdict.refused_by, Limit::SourceConnections);
  EXPECT_EQ(verdict.would_refuse, Limit::SourceRate);
}

// Whoever tries two of them wants to know of each what it would do.
TEST(Admission, EachLimitThatIsTriedIsNotedForItself) {
  AdmissionPolicy policy{.rate = 1, .rate_period = 1h, .source_connections = 1};
  policy.tried = Limit::SourceRate | LimitSet(Limit::SourceConnections);
  Admission admission(policy, kKey);
  EXPECT_TRUE(admission.on_connection(kClient, kStart).admitted());
  const AdmissionVerdict verdict = admission.on_connection(kClient, kStart);
  EXPECT_TRUE(verdict.admitted());
  EXPECT_EQ(verdict.would_refuse, policy.tried);
}

TEST(Admission, ForgetsTheSourceThatWasSeenLeastRecently) {
  Admission admission({.rate = 1, .rate_period = 1h, .sources = 2}, kKey);
  const IpAddress a = ip("10.0.0.1"), b = ip("10.0.0.2"), c = ip("10.0.0.3");
  EXPECT_TRUE(admission.on_connection(a, kStart).admitted());
  EXPECT_TRUE(admission.on_connection(b, kStart).admitted());
  EXPECT_FALSE(admission.on_connection(a, kStart).admitted()) << "seen again: b is the oldest now";
  EXPECT_TRUE(admission.on_connection(c, kStart).admitted());
  EXPECT_EQ(admission.sources(), 2U);
  EXPECT_FALSE(admission.on_connection(a, kStart).admitted());
  EXPECT_TRUE(admission.on_connection(b, kStart).admitted()) << "it begins anew";
}

TEST(Admission, RatherForgetsASourceOfWhichNothingIsToBeRemembered) {
  Admission admission({.source_connections = 1, .sources = 2}, kKey);
  const IpAddress a = ip("10.0.0.1"), b = ip("10.0.0.2"), c = ip("10.0.0.3");
  EXPECT_TRUE(admission.on_connection(a, kStart).admitted());
  admission.on_closed(*admission.on_connection(b, kStart).ticket);
  EXPECT_TRUE(admission.on_connection(c, kStart).admitted());
  EXPECT_FALSE(admission.on_connection(a, kStart).admitted()) << "a has a connection open, b had none";
}

TEST(Admission, ATicketOfAForgottenSourceTakesNothingFromItsSuccessor) {
  Admission admission({.source_connections = 1, .sources = 1}, kKey);
  const AdmissionVerdict old = admission.on_connection(ip("10.0.0.1"), kStart);
  EXPECT_TRUE(admission.on_connection(ip("10.0.0.2"), kStart).admitted());
  admission.on_closed(*old.ticket);
  EXPECT_EQ(admission.connections(), 1U);
  EXPECT_FALSE(admission.on_connection(ip("10.0.0.2"), kStart).admitted());
}

TEST(Admission, NamesTheHeaviestSources) {
  Admission admission({.source = {.v4 = 24, .v6 = 64}, .source_connections = 3, .ban_after = 1, .ban_time = 1h}, kKey);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(admission.on_connection(ip("10.0.1.1"), kStart).admitted());
  for (int i = 0; i < 4; ++i) (void)admission.on_connection(ip("10.0.2.1"), kStart);
  EXPECT_TRUE(admission.on_connection(ip("10.0.3.1"), kStart).admitted());
  const std::vector<Admission::Source> heaviest = admission.heaviest(2, kStart);
  ASSERT_EQ(heaviest.size(), 2U);
  EXPECT_EQ(heaviest[0].address, ip("10.0.2.0"));
  EXPECT_EQ(heaviest[0].connections, 3U);
  EXPECT_TRUE(heaviest[0].banned);
  EXPECT_EQ(heaviest[0].refused, 1U) << "whatever becomes of the count that a ban goes by";
  EXPECT_EQ(heaviest[1].address, ip("10.0.1.0"));
  EXPECT_FALSE(heaviest[1].banned);
  EXPECT_EQ(admission.heaviest(10, kStart).size(), 3U);
}

TEST(Admission, RemembersASourceInLessThan128Bytes) {
  for (const unsigned sources : {1000U, 10'000U, 65'536U, 100'000U}) {
    Admission admission({.sources = sources}, kKey);
    for (std::uint32_t i = 0; i < sources + 1000; ++i) (void)admission.on_connection(IpAddress::v4(i), kStart);
    EXPECT_EQ(admission.sources(), sources);
    EXPECT_LT(admission.bytes() / sources, 128U) << sources;
  }
}

// The limits by their definitions, for a table that forgets nobody.
class Model {
 public:
  explicit Model(const AdmissionPolicy& policy) : policy_(policy) {}

  std::optional<Limit> judge(const IpAddress& address, TimePoint now) {
    Source& source = sources_.try_emplace(address, Source{policy_.rate_period, now}).first->second;
    source.room = std::min(policy_.rate_period, source.room + (now - source.seen));
    source.seen = now;
    if (now < source.banned_until) return Limit::Ban;
    const Duration step = policy_.rate_period / policy_.rate;
    if (source.room < step) return refuse(source, Limit::SourceRate, now);
    if (source.open >= policy_.source_connections) return refuse(source, Limit::SourceConnections, now);
    source.room -= step;
    ++source.open;
    return std::nullopt;
  }
  void close(const IpAddress& address) { --sources_.at(address).open; }

 private:
  struct Source {
    Duration room;
    TimePoint seen;
    TimePoint banned_until{};
    TimePoint refused_since{};
    unsigned open = 0;
    unsigned refusals = 0;
  };

  Limit refuse(Source& source, Limit limit, TimePoint now) const {
    if (source.refusals == 0 || now - source.refused_since > policy_.ban_within) {
      source.refusals = 0;
      source.refused_since = now;
    }
    if (++source.refusals == policy_.ban_after) {
      source.refusals = 0;
      source.banned_until = now + policy_.ban_time;
    }
    return limit;
  }

  AdmissionPolicy policy_;
  std::map<IpAddress, Source> sources_;
};

TEST(AdmissionHistory, AgreesWithTheDefinitionOfItsLimits) {
  std::mt19937_64 random(random_seed());
  for (int history = 0; history < 50; ++history) {
    AdmissionPolicy policy;
    policy.rate = 1 + static_cast<unsigned>(random() % 8);
    policy.rate_period = policy.rate * 100ms;
    policy.source_connections = 1 + static_cast<unsigned>(random() % 6);
    policy.ban_after = 2 + static_cast<unsigned>(random() % 6);
    policy.ban_within = 2s;
    policy.ban_time = 3s;
    Admission admission(policy, kKey);
    Model model(policy);
    TimePoint now = kStart;
    std::vector<std::pair<IpAddress, AdmissionTicket>> open;
    for (int step = 0; step < 2000; ++step) {
      now += std::chrono::milliseconds(random() % 60);
      if (!open.empty() && random() % 3 == 0) {
        std::swap(open[random() % open.size()], open.back());
        model.close(open.back().first);
        admission.on_closed(open.back().second);
        open.pop_back();
        continue;
      }
      const IpAddress address = IpAddress::v4(static_cast<std::uint32_t>(random() % 6));
      const AdmissionVerdict verdict = admission.on_connection(address, now);
      ASSERT_EQ(verdict.refused_by, model.judge(address, now)) << "history " << history << ", step " << step;
      if (verdict.admitted()) open.emplace_back(address, *verdict.ticket);
      ASSERT_EQ(admission.connections(), open.size());
    }
  }
}

// Far more sources than the table remembers.
TEST(AdmissionHistory, KeepsItsAccountsWhateverItForgets) {
  std::mt19937_64 random(random_seed());
  AdmissionPolicy policy{.rate = 3, .source_connections = 3, .ban_after = 3, .sources = 37};
  Admission admission(policy, kKey);
  std::vector<AdmissionTicket> open;
  TimePoint now = kStart;
  for (int step = 0; step < 50'000; ++step) {
    now += std::chrono::milliseconds(random() % 100);
    if (!open.empty() && random() % 2 == 0) {
      std::swap(open[random() % open.size()], open.back());
      admission.on_closed(open.back());
      open.pop_back();
    } else {
      const bool v6 = random() % 2 == 0;
      std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(random() % 100)};
      const auto word = static_cast<std::uint32_t>(random() % 100);
      const AdmissionVerdict verdict = admission.on_connection(v6 ? IpAddress::v6(bytes) : IpAddress::v4(word), now);
      ASSERT_NE(verdict.admitted(), verdict.refused_by.has_value());
      if (verdict.admitted()) open.push_back(*verdict.ticket);
    }
    ASSERT_EQ(admission.connections(), open.size());
    ASSERT_LE(admission.sources(), policy.sources);
  }
  unsigned remembered = 0;
  for (const Admission::Source& source : admission.heaviest(policy.sources, now)) {
    EXPECT_LE(source.connections, policy.source_connections);
    remembered += source.connections;
  }
  EXPECT_LE(remembered, open.size());
  for (const AdmissionTicket ticket : open) admission.on_closed(ticket);
  EXPECT_EQ(admission.connections(), 0U);
  for (const Admission::Source& source : admission.heaviest(policy.sources, now)) EXPECT_EQ(source.connections, 0U);
}

TEST(Admission, WhoIsRefusedIsToldWhenHeMayComeAgain) {
  AdmissionPolicy policy;
  policy.rate = 2;
  policy.rate_period = std::chrono::hours(1);
  policy.ban_after = 3;
  policy.ban_time = std::chrono::hours(5);
  Admission admission(policy, HashKey{});
  const IpAddress one = *IpAddress::parse("192.0.2.1");
  const TimePoint now{std::chrono::hours(5)};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(admission.on_connection(one, now).wait, Duration{});
  EXPECT_EQ(admission.on_connection(one, now).wait, std::chrono::minutes(30));
  EXPECT_EQ(admission.on_connection(one, now + std::chrono::minutes(10)).wait, std::chrono::minutes(20));
  EXPECT_TRUE(admission.on_connection(one, now + std::chrono::minutes(30)).admitted()) << "as it was told";
  EXPECT_EQ(admission.on_connection(one, now + std::chrono::minutes(31)).wait, std::chrono::minutes(29));
  for (int i = 0; i < 2; ++i) (void)admission.on_connection(one, now + std::chrono::minutes(31));
  EXPECT_EQ(admission.on_connection(one, now + std::chrono::minutes(32)).wait,
            policy.ban_time - std::chrono::minutes(1));
}

// What a source has used of the old rate is used of the new one, in its own measure.
TEST(Admission, WhatSourcesHaveDoneAndHaveOpenCountsUnderOtherLimitsToo) {
  AdmissionPolicy policy;
  policy.rate = 2;
  policy.rate_period = std::chrono::hours(1);
  policy.source_connections = 3;
  Admission admission(policy, HashKey{});
  const IpAddress one = *IpAddress::parse("192.0.2.1");
  const TimePoint now{std::chrono::hours(5)};
  std::vector<AdmissionTicket> open;
  for (int i = 0; i < 2; ++i) open.push_back(*admission.on_connection(one, now).ticket);
  EXPECT_EQ(admission.foresee(one, now).refused_by, Limit::SourceRate);
  policy.rate_period = std::chrono::seconds(2);
  admission.change(policy, now);
  EXPECT_EQ(admission.foresee(one, now).refused_by, Limit::SourceRate);
  EXPECT_EQ(admission.foresee(one, now + std::chrono::seconds(1)).refused_by, std::nullopt);
  policy.rate = 0;
  policy.source_connections = 2;
  admission.change(policy, now);
  EXPECT_EQ(admission.foresee(one, now).refused_by, Limit::SourceConnections);
  admission.on_closed(open.front());
  EXPECT_EQ(admission.foresee(one, now).refused_by, std::nullopt);
}

}  // namespace
}  // namespace holdfast
