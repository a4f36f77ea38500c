#include "core/topic.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Topic, IsSegmentsDividedByDots) {
  for (const char* good : {"a", "chat.lobby.said", "a.b-c_d:e/f", "\xc3\xa4.b"}) EXPECT_TRUE(is_topic(good)) << good;
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a.*", "**", "a\n", "a*"})
    EXPECT_FALSE(is_topic(bad)) << bad;
  EXPECT_TRUE(is_topic(std::string(255, 'a')));
  EXPECT_FALSE(is_topic(std::string(256, 'a')));
  std::string deep = "a";
  for (int i = 1; i < 32; i++) deep += ".a";
  EXPECT_TRUE(is_topic(deep));
  EXPECT_FALSE(is_topic(deep + ".a"));
}

TEST(Topic, APatternMayHaveWildcardsAsWholeSegments) {
  for (const char* good : {"a", "*", "**", "a.*.b", "**.a.**"}) EXPECT_TRUE(is_topic_pattern(good)) << good;
  for (const char* bad : {"", "a*", "*a", "***", "a.**b", "**.a.**.b.**"}) EXPECT_FALSE(is_topic_pattern(bad)) << bad;
}

TEST(Topic, OneStarIsOneSegmentAndTwoAreAny) {
  EXPECT_TRUE(topic_matches("a.*.c", "a.b.c"));
  EXPECT_FALSE(topic_matches("a.*.c", "a.c"));
  EXPECT_FALSE(topic_matches("a.*", "a.b.c"));
  EXPECT_TRUE(topic_matches("a.**", "a"));
  EXPECT_TRUE(topic_matches("a.**", "a.b.c"));
  EXPECT_TRUE(topic_matches("**.c", "c"));
  EXPECT_TRUE(topic_matches("**.c", "a.b.c"));
  EXPECT_TRUE(topic_matches("a.**.b.**.c", "a.x.b.b.y.z.c"));
  EXPECT_FALSE(topic_matches("a.**.b.**.c", "a.x.c"));
}

std::vector<SubscriberId> found(Subscriptions& subscriptions, const std::string& topic) {
  const auto span = subscriptions.find(topic);
  return {span.begin(), span.end()};
}

TEST(Subscriptions, NameEachSubscriberOnce) {
  Subscriptions subscriptions;
  EXPECT_TRUE(subscriptions.add(2, "a.*"));
  EXPECT_TRUE(subscriptions.add(2, "a.b"));
  EXPECT_TRUE(subscriptions.add(1, "**"));
  EXPECT_FALSE(subscriptions.add(1, "**"));
  EXPECT_THAT(found(subscriptions, "a.b"), ElementsAre(1, 2));
  EXPECT_TRUE(subscriptions.remove(2, "a.*"));
  EXPECT_FALSE(subscriptions.remove(2, "a.*"));
  EXPECT_THAT(found(subscriptions, "a.b"), ElementsAre(1, 2));
  subscriptions.remove_all(2);
  EXPECT_THAT(found(subscriptions, "a.b"), ElementsAre(1));
  subscriptions.remove_all(1);
  EXPECT_THAT(found(subscriptions, "a.b"), IsEmpty());
  EXPECT_EQ(subscriptions.size(), 0u);
}

// The tree against one comparison for each pattern, over random histories.
TEST(Subscriptions, FindWhatComparingEachPatternFinds) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto segment = [&](bool wild) -> std::string {
    const std::vector<std::string> segments = {"a", "b", "c", "*", "**"};
    return segments[random() % (wild ? 5 : 3)];
  };
  const auto text = [&](bool wild) {
    std::string result = segment(wild);
    for (auto more = random() % 4; more > 0; more--) result += "." + segment(wild);
    return result;
  };
  for (int history = 0; history < 40; history++) {
    Subscriptions subscriptions;
    std::set<std::pair<SubscriberId, std::string>> model;
    for (int step = 0; step < 200; step++) {
      const auto who = static_cast<SubscriberId>(random() % 5);
      const std::string pattern = text(true);
      if (!is_topic_pattern(pattern)) continue;
      switch (random() % 8) {
        case 0:
          EXPECT_EQ(subscriptions.remove(who, pattern), model.erase({who, pattern}) == 1);
          break;
        case 1:
          if (random() % 8 != 0) break;
          subscriptions.remove_all(who);
          std::erase_if(model, [&](const auto& one) { return one.first == who; });
          break;
        default:
          EXPECT_EQ(subscriptions.add(who, pattern), model.insert({who, pattern}).second);
      }
      const std::string topic = text(false);
      std::set<SubscriberId> expected;
      for (const auto& one : model) {
        if (topic_matches(one.second, topic)) expected.insert(one.first);
      }
      ASSERT_EQ(found(subscriptions, topic), std::vector<SubscriberId>(expected.begin(), expected.end())) << topic;
      ASSERT_EQ(subscriptions.size(), model.size());
    }
  }
}

}  // namespace
}  // namespace holdfast
