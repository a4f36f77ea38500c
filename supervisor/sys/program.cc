#include "sys/program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace holdfast {

namespace {

Error failure(int code, std::string doing) {
  return Error{std::error_code(code, std::generic_category()), std::move(doing)};
}

// 0 if `path` is a file that we may execute, else why not.
int executable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  return access(path.c_str(), X_OK) == 0 ? 0 : errno;
}

bool exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

}  // namespace

Outcome check_program(const std::string& command, const std::string& working_directory) {
  if (!working_directory.empty()) {
    struct stat info {};
    if (stat(working_directory.c_str(), &info) != 0) return last_error("run workers in " + working_directory);
    if (!S_ISDIR(info.st_mode)) return failure(ENOTDIR, "run workers in " + working_directory);
    if (access(working_directory.c_str(), X_OK) != 0) return last_error("run workers in " + working_directory);
  }
  if (command.find('/') != std::string::npos) {
    const bool relative = command.front() != '/' && !working_directory.empty();
    const std::string path = relative ? working_directory + "/" + command : command;
    if (const int code = executable(path); code != 0) return failure(code, "run the worker command " + path);
    return Done{};
  }
  const char* path_variable = std::getenv("PATH");
  std::string_view directories = path_variable != nullptr ? path_variable : "/usr/local/bin:/usr/bin:/bin";
  int worst = ENOENT;
  while (true) {
    const std::size_t colon = directories.find(':');
    const std::string directory(directories.substr(0, colon));
    const std::string path = (directory.empty() ? "." : directory) + "/" + command;
    const int code = executable(path);
    if (code == 0) return Done{};
    if (code == EACCES && exists(path)) worst = EACCES;  // a directory that we may not search has nothing for us
    if (colon == std::string_view::npos) break;
    directories.remove_prefix(colon + 1);
  }
  return failure(worst, "find the worker command " + command + " in PATH");
}

}  // namespace holdfast
