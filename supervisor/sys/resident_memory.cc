#include "sys/resident_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "sys/unique_fd.h"

namespace holdfast {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { (void)::closedir(directory); }
};

struct Process {
  pid_t group = 0;
  std::uint64_t pages = 0;
};

// proc(5): "PID (NAME) STATE PPID PGRP ...", where the name may hold anything; the 24th field is RSS, in pages.
Process parse(const char* text) {
  Process process;
  const char* const behind_name = std::strrchr(text, ')');
  if (behind_name == nullptr) return process;
  int group = 0;
  unsigned long long pages = 0;
  const int read = std::sscanf(
      behind_name + 1, " %*c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %llu",
      &group, &pages);
  if (read == 2) process = {group, pages};
  return process;
}

}  // namespace

std::map<pid_t, std::uint64_t> resident_by_group() {
  std::map<pid_t, std::uint64_t> resident;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir("/proc"));
  if (!directory) return resident;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const UniqueFd file(::open(("/proc/" + std::string(entry->d_name) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> text{};
    if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0) continue;
    const Process process = parse(text.data());
    if (process.group > 0) resident[process.group] += process.pages * page;
  }
  return resident;
}

}  // namespace holdfast
