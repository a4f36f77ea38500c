#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

// A directory of a test's own, short enough for Unix socket paths, removed with everything in it at the end.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  // The socket files in it.
  [[nodiscard]] std::vector<std::string> sockets() const;

 private:
  std::filesystem::path path_;
};

// The whole file, or nothing where there is none.
[[nodiscard]] std::string text_of(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, std::string_view text);
// The same, and anyone may execute it.
void write_script(const std::filesystem::path& file, std::string_view text);

}  // namespace holdfast::test
