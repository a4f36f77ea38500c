#include "sys/control_path.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace holdfast {

namespace {

constexpr std::string_view kSuffix = ".sock";
constexpr std::size_t kMaxPath = sizeof(sockaddr_un{}.sun_path) - 1;

bool is_directory_of(const std::string& path, uid_t user) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == user;
}

Error not_trusted(const std::string& directory, const std::string& why) {
  return Error{{}, "use " + directory + ": " + why + " (give the path of the socket with --control)"};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { (void)::closedir(directory); }
};

}  // namespace

ControlHome control_home() {
  ControlHome home{::geteuid(), {}};
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe): one thread
  if (runtime != nullptr && runtime[0] == '/' && is_directory_of(runtime, home.user)) home.runtime_directory = runtime;
  return home;
}

std::string control_directory(const ControlHome& home) {
  if (home.user == 0) return "/run/holdfast";
  if (!home.runtime_directory.empty()) return home.runtime_directory + "/holdfast";
  return "/tmp/holdfast-" + std::to_string(home.user);
}

Outcome check_control_directory(const std::string& directory, uid_t user) {
  struct stat status {};
  if (::lstat(directory.c_str(), &status) != 0) return last_error("use " + directory);
  if (S_ISLNK(status.st_mode)) return not_trusted(directory, "it is a symbolic link");
  if (!S_ISDIR(status.st_mode)) return not_trusted(directory, "it is not a directory");
  if (status.st_uid != user) {
    return not_trusted(directory, "it belongs to user " + std::to_string(status.st_uid));
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return not_trusted(directory, "others may write in it");
  return Done{};
}

Outcome make_control_directory(const std::string& directory, uid_t user) {
  if (::mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) return last_error("make directory " + directory);
  return check_control_directory(directory, user);
}

Result<std::string> control_path(const std::string& directory, std::string_view name) {
  const std::string quoted = "name the supervisor \"" + std::string(name) + "\"";
  if (name.empty() || name.front() == '.' || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return Error{{}, quoted + ": a name is not empty, has no '/' and does not begin with '.'"};
  }
  std::string path = directory + "/" + std::string(name) + std::string(kSuffix);
  if (path.size() > kMaxPath) {
    return Error{
        {}, quoted + ": " + path + " is too long for a socket, which may have " + std::to_string(kMaxPath) + " bytes"};
  }
  return path;
}

std::vector<std::string> control_names(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseDirectory> open(::opendir(directory.c_str()));
  while (const dirent* const entry = open ? ::readdir(open.get()) : nullptr) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view file = entry->d_name;
    if (file.size() > kSuffix.size() && file.front() != '.' && file.ends_with(kSuffix)) {
      names.emplace_back(file.substr(0, file.size() - kSuffix.size()));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace holdfast
