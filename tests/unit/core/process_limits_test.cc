#include "core/process_limits.h"

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using testing::HasSubstr;

TEST(ResourceLimits, AreReadAndTold) {
  const Result<ResourceLimits> limits = parse_resource_limits("nofile=1024:65536,core=unlimited,nice=0");
  ASSERT_TRUE(limits);
  const ResourceLimits wanted = {{ResourceLimit::Resource::Nofile, 1024, 65536},
                                 {ResourceLimit::Resource::Core, ResourceLimit::kUnlimited, ResourceLimit::kUnlimited},
                                 {ResourceLimit::Resource::Nice, 0, 0}};
  EXPECT_EQ(*limits, wanted);
  EXPECT_EQ(to_text(*limits), "nofile=1024:65536,core=unlimited,nice=0");
}

TEST(ResourceLimits, EveryNameIsItsOwn) {
  for (const char* name : {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
                           "nproc", "rtprio", "rttime", "sigpending", "stack"}) {
    const std::string text = std::string(name) + "=7";
    const Result<ResourceLimits> limits = parse_resource_limits(text);
    ASSERT_TRUE(limits) << name;
    EXPECT_EQ(to_text(*limits), text);
  }
}

TEST(ResourceLimits, MistakesAreTold) {
  const std::map<std::string, std::string> mistakes = {{"nofile", "write for instance nofile=65536"},
                                                       {"files=3", "there are as, core, "},
                                                       {"nofile=many", "SOFT:HARD"},
                                                       {"nofile=", "SOFT:HARD"},
                                                       {"nofile=-1", "SOFT:HARD"},
                                                       {"nofile=1:2:3", "SOFT:HARD"},
                                                       {"nofile=18446744073709551615", "SOFT:HARD"},
                                                       {"nofile=unlimited:5", "above the hard one"},
                                                       {"core=1,core=2", "'core' is limited twice"},
                                                       {"core=1,", "'' is no limit"}};
  for (const auto& [text, told] : mistakes) {
    const Result<ResourceLimits> limits = parse_resource_limits(text);
    ASSERT_FALSE(limits) << text;
    EXPECT_THAT(limits.error().message(), HasSubstr(told)) << text;
  }
}

TEST(FileMask, IsOctal) {
  EXPECT_EQ(to_text(*parse_file_mask("27")), "0027");
  EXPECT_EQ(parse_file_mask("0777")->bits, 0777U);
  for (const char* wrong : {"", "8", "1000", "-1", "rwx"}) EXPECT_FALSE(parse_file_mask(wrong)) << wrong;
}

}  // namespace
}  // namespace holdfast
