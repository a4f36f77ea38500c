#include "wire/clients_answer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ClientsAnswer, ComesBackFromItsJsonAsItWas) {
  ClientsAnswer answer;
  answer.listeners.push_back({"http", true, true, {"source-rate = 3 in 1s"}, {{"203.0.113.7/32", 5, 12, 3, true}}});
  answer.listeners.push_back({"local", false, false, {}, {}});
  const std::string text = to_json(answer);
  EXPECT_EQ(
      text,
      R"({"listeners":[{"name":"http","remembers":true,"counts_open":true,"limits":["source-rate = 3 in 1s"],"sources":[)"
      R"({"address":"203.0.113.7/32","open":5,"seen":12,"refused":3,"banned":true}]},)"
      R"({"name":"local","remembers":false,"counts_open":false,"limits":[],"sources":[]}]})");
  const Result<ClientsAnswer> back = parse_clients_answer(text);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), text);
}

TEST(ClientsAnswer, RefusesWhatIsNotOne) {
  EXPECT_FALSE(parse_clients_answer("nonsense"));
  EXPECT_FALSE(parse_clients_answer(R"({"listeners":[{"sources":[{"seen":"many"}]}]})"));
  EXPECT_FALSE(parse_clients_answer(R"({"listeners":{}})"));
}

}  // namespace
}  // namespace holdfast
