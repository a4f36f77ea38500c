#include "support/temp_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

namespace holdfast::test {

namespace fs = std::filesystem;

TempDirectory::TempDirectory() {
  std::string pattern = (fs::temp_directory_path() / "hf-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << pattern << " failed";
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;  // what cannot be removed hurts nobody
  fs::remove_all(path_, ignored);
}

std::vector<std::string> TempDirectory::sockets() const {
  std::vector<std::string> found;
  std::error_code vanished;  // files may go while we look
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path_, vanished)) {
    if (entry.is_socket(vanished)) found.push_back(entry.path().string());
  }
  return found;
}

std::string text_of(const fs::path& file) {
  std::string text;
  // Not a stream: that throws when a process ends while its files in /proc are read.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[16384];
  for (ssize_t size = ::read(fd, buffer, sizeof buffer); size > 0; size = ::read(fd, buffer, sizeof buffer)) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  ::close(fd);
  return text;
}

void write_text(const fs::path& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
}

void write_script(const fs::path& file, std::string_view text) {
  write_text(file, text);
  fs::permissions(file, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                            fs::perms::others_exec);
}

}  // namespace holdfast::test
