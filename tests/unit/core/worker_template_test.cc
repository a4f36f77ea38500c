#include "core/worker_template.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string expanded(std::string_view text) {
  return expand_worker_template(text, {.slot = SlotId{3}, .slots = 16, .name = "web", .cpu = 11});
}

TEST(WorkerTemplate, FillsInWhoTheWorkerIs) {
  EXPECT_EQ(expanded("--name={name}-{slot}of{slots}"), "--name=web-3of16");
  EXPECT_EQ(expanded("{cpu}{cpu}"), "1111");
  EXPECT_EQ(expanded(""), "");
}

TEST(WorkerTemplate, LeavesTheProcessIdToTheChild) {
  EXPECT_EQ(expanded("/run/{pid}.pid"), "/run/" + std::string(kPidMarker) + ".pid");
}

TEST(WorkerTemplate, TwoBracesAreABrace) {
  EXPECT_EQ(expanded("{{slot}"), "{slot}");
  EXPECT_EQ(expanded("{{{slot}}"), "{3}");
  EXPECT_EQ(expanded("{{"), "{");
}

TEST(WorkerTemplate, LeavesEverythingElseAsItIs) {
  for (const char* const text : {"{", "}", "{}", "}}", "{slot", "{ slot }", "{SLOT}", "{user}", "100%", "a{b",
                                 R"({"port": 80, "deep": {"empty": {}}})"}) {
    EXPECT_EQ(expanded(text), text);
  }
  EXPECT_EQ(expanded("{x{slot}}"), "{x3}");
}

TEST(WorkerTemplate, AWorkerThatIsNotPinnedHasNoCpuToName) {
  EXPECT_EQ(expand_worker_template("{cpu}", {.slot = SlotId{0}, .slots = 1, .name = "web", .cpu = {}}), "{cpu}");
}

}  // namespace
}  // namespace holdfast
