#include "wire/package_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(PackageJson, TellsVersionAndDependencies) {
  const Result<PackageJson> package = parse_package_json(
      R"({"name":"app","version":"1.2.3","main":"lib/a.js","dependencies":{"ws":"^8","sticky-session":"1.1.2"},
          "devDependencies":{"sticky-listen":"3"},"exports":{".":{"import":"./x.mjs"}}})");
  ASSERT_TRUE(package);
  EXPECT_EQ(package->version, "1.2.3");
  EXPECT_EQ(package->main, "lib/a.js");
  EXPECT_THAT(package->dependencies, ElementsAre(Pair("sticky-session", "1.1.2"), Pair("ws", "^8")));
}

TEST(PackageJson, IsPatientWithWhatItIsNotAskedFor) {
  const Result<PackageJson> package = parse_package_json(R"({"version":2,"main":[],"dependencies":{"a":{"x":1}}})");
  ASSERT_TRUE(package);
  EXPECT_EQ(package->version, "");
  EXPECT_THAT(package->dependencies, ElementsAre(Pair("a", "")));
  EXPECT_THAT(parse_package_json(R"({"dependencies":"none"})")->dependencies, IsEmpty());
}

TEST(PackageJson, IsAnObject) {
  for (const char* text : {"", "[]", "7", "{", "{\"a\":}"}) EXPECT_FALSE(parse_package_json(text)) << text;
}

}  // namespace
}  // namespace holdfast
