#include "sys/state_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast {
namespace {

UniqueFd copy_of(BorrowedFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

StateMemory created() {
  Result<StateMemory> memory = StateMemory::create();
  EXPECT_TRUE(memory.has_value());
  return *std::move(memory);
}

// What somebody finds who was given the descriptors in this order.
StateMemory adopted(const StateMemory& memory, std::size_t first, std::size_t second) {
  Result<StateMemory> other = StateMemory::adopt({copy_of(memory.half(first)), copy_of(memory.half(second))});
  EXPECT_TRUE(other.has_value());
  return *std::move(other);
}

std::string text_in(const StateMemory& memory) {
  Result<std::string> text = memory.read();
  return text ? *std::move(text) : "none: " + text.error().message();
}

TEST(StateMemory, HoldsWhatWasWrittenLast) {
  StateMemory memory = created();
  EXPECT_FALSE(memory.read().has_value());
  for (const std::string text : {"one", "", "three, which is longer", "4"}) {
    ASSERT_TRUE(memory.write(text).has_value());
    EXPECT_EQ(text_in(memory), text);
    EXPECT_EQ(text_in(adopted(memory, 0, 1)), text);
    EXPECT_EQ(text_in(adopted(memory, 1, 0)), text);
  }
}

TEST(StateMemory, WhoTakesItOverWritesOn) {
  StateMemory memory = created();
  ASSERT_TRUE(memory.write("one").has_value());
  for (int i = 0; i < 5; i++) {
    StateMemory next = adopted(memory, i % 2 == 0 ? 1 : 0, i % 2 == 0 ? 0 : 1);
    const std::string text = "number " + std::to_string(i);
    ASSERT_TRUE(next.write(text).has_value());
    EXPECT_EQ(text_in(next), text);
    EXPECT_EQ(text_in(adopted(next, 0, 1)), text);
  }
}

// A writer that is killed has written a part of one half: whichever part, the text before is still there.
TEST(StateMemory, AWriterMayDieAtAnyInstant) {
  const std::string before(5000, 'a');
  const std::string after(7000, 'b');
  const off_t whole = 32 + static_cast<off_t>(after.size());
  for (off_t cut = 0; cut < whole; cut += cut < 64 ? 1 : 501) {
    StateMemory memory = created();
    ASSERT_TRUE(memory.write("older").has_value());
    ASSERT_TRUE(memory.write(before).has_value());
    ASSERT_TRUE(memory.write(after).has_value());
    // The third text is in the second half again. Of its bytes only the first `cut` got there.
    const int fd = memory.half(1).get();
    const std::string garbage(static_cast<std::size_t>(whole - cut), '\x55');
    ASSERT_EQ(::pwrite(fd, garbage.data(), garbage.size(), cut), static_cast<ssize_t>(garbage.size()));
    EXPECT_EQ(text_in(adopted(memory, 0, 1)), before) << cut;
    EXPECT_EQ(text_in(adopted(memory, 1, 0)), before) << cut;
  }
}

TEST(StateMemory, OtherFilesAreNoState) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_FALSE(StateMemory::adopt({UniqueFd(ends[0]), UniqueFd(ends[1])}).has_value());
  EXPECT_FALSE(StateMemory::adopt({UniqueFd(), UniqueFd()}).has_value());
  // Empty ones are; they hold nothing yet.
  Result<StateMemory> empty =
      StateMemory::adopt({UniqueFd(::memfd_create("a", MFD_CLOEXEC)), UniqueFd(::memfd_create("b", MFD_CLOEXEC))});
  ASSERT_TRUE(empty.has_value());
  EXPECT_FALSE(empty->read().has_value());
}

}  // namespace
}  // namespace holdfast
