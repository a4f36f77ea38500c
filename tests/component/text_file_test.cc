#include "sys/text_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/eventually.h"
#include "support/temp_directory.h"

namespace holdfast {
namespace {

using test::TempDirectory;
using test::text_of;
using test::write_text;

TEST(TextFile, IsReadWhole) {
  const TempDirectory directory;
  const std::string text = std::string(100'000, 'x') + std::string("\0\n", 2);
  write_text(directory / "file", text);
  const Result<std::string> read = read_text_file(directory / "file", text.size());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, text);
  EXPECT_FALSE(read_text_file(directory / "file", text.size() - 1));
}

TEST(TextFile, ThatCannotBeReadSaysWhy) {
  const TempDirectory directory;
  EXPECT_EQ(read_text_file(directory / "none", 10).error().code, std::errc::no_such_file_or_directory);
  EXPECT_EQ(read_text_file(directory.path().string(), 10).error().code, std::errc::is_a_directory);
  EXPECT_EQ(read_text_file("/dev/zero", 1000).error().code, std::errc::file_too_large);
}

// So what could not be read is read again when it may be.
TEST(TextFile, TheStampOfOneWithOtherPermissionsIsAnother) {
  const TempDirectory directory;
  const std::string path = directory / "file";
  write_text(path, "one");
  const FileStamp before = stamp_of(path);
  EXPECT_EQ(before, stamp_of(path));
  // The kernel's clock for files may stand still for some milliseconds.
  EXPECT_TRUE(test::eventually([&] { return ::chmod(path.c_str(), 0600) == 0 && stamp_of(path) != before; }));
}

TEST(TextFile, IsMadeOnceAndNeverOverwritten) {
  const TempDirectory directory;
  ASSERT_TRUE(create_text_file(directory / "file", "one"));
  EXPECT_EQ(create_text_file(directory / "file", "two").error().code, std::errc::file_exists);
  EXPECT_EQ(text_of(directory / "file"), "one");
  ASSERT_EQ(::symlink((directory / "elsewhere").c_str(), (directory / "link").c_str()), 0);
  EXPECT_EQ(create_text_file(directory / "link", "two").error().code, std::errc::file_exists);
  EXPECT_EQ(create_text_file(directory / "none/file", "two").error().code, std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace holdfast
