#include "sys/worker_sockets.h"

#include <netinet/tcp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sys/tcp_table.h"

namespace holdfast {

namespace {

namespace fs = std::filesystem;

// The numbers that the directories in `place` are named for.
std::vector<pid_t> numbers_in(const std::string& place) {
  std::vector<pid_t> numbers;
  std::error_code vanished;  // they may end while we look
  for (auto entry = fs::directory_iterator(place, vanished); entry != fs::directory_iterator();
       entry.increment(vanished)) {
    const std::string name = entry->path().filename().string();
    pid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) numbers.push_back(number);
    if (vanished) break;
  }
  return numbers;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "S PARENT GROUP ...": what follows upon "123 (name) ". The name may have spaces and parentheses.
std::string state_at(const std::string& place) {
  const std::string line = first_line(place + "/stat");
  const std::size_t name_end = line.rfind(") ");
  return name_end == std::string::npos ? std::string() : line.substr(name_end + 2);
}

bool is_of_group(pid_t process, pid_t group) {
  const std::string line = state_at("/proc/" + std::to_string(process));
  const std::size_t parent = line.find(' ');
  const std::size_t number = parent == std::string::npos ? parent : line.find(' ', parent + 1);
  if (number == std::string::npos) return false;
  pid_t found = 0;
  std::from_chars(line.data() + number + 1, line.data() + line.size(), found);
  return found == group;
}

std::vector<pid_t> processes_of(pid_t group) {
  std::vector<pid_t> processes = numbers_in("/proc");
  std::erase_if(processes, [group](pid_t process) { return !is_of_group(process, group); });
  return processes;
}

}  // namespace

std::size_t open_connections(pid_t worker, std::span<const std::uint16_t> ports) {
  std::set<std::string> inodes;
  for (const pid_t process : processes_of(worker)) inodes.merge(socket_inodes(process));
  std::size_t count = 0;
  for (const TcpSocket& socket : tcp_table(worker, TcpRows::All)) {
    const bool of_listener = std::count(ports.begin(), ports.end(), socket.local.port) > 0;
    if (of_listener && socket.state != TCP_LISTEN && inodes.count(socket.inode) > 0) ++count;
  }
  return count;
}

bool waits_in_accept(pid_t worker) {
  const std::string accepting = std::to_string(SYS_accept) + " ";
  const std::string accepting4 = std::to_string(SYS_accept4) + " ";
  for (const pid_t process : processes_of(worker)) {
    const std::string threads = "/proc/" + std::to_string(process) + "/task/";
    for (const pid_t thread : numbers_in(threads)) {
      const std::string call = first_line(threads + std::to_string(thread) + "/syscall");
      if (call.starts_with(accepting) || call.starts_with(accepting4)) return true;
    }
  }
  return false;
}

bool is_at_work(pid_t worker) {
  const std::string call = first_line("/proc/" + std::to_string(worker) + "/syscall");
  if (call.empty()) return false;
#ifdef SYS_epoll_wait  // newer machines have only the other
  if (call.starts_with(std::to_string(SYS_epoll_wait) + " ")) return false;
#endif
  return !call.starts_with(std::to_string(SYS_epoll_pwait) + " ");
}

bool is_asleep(pid_t thread) {
  const std::string threads = "/proc/" + std::to_string(thread) + "/task/";
  const std::string binds = std::to_string(SYS_bind) + " ";
  const std::string listens = std::to_string(SYS_listen) + " ";
  for (const pid_t one : numbers_in(threads)) {
    const std::string place = threads + std::to_string(one);
    const std::string state = state_at(place);
    if (!state.empty() && state.find_first_of("SXZ") != 0) return false;
    const std::string call = first_line(place + "/syscall");
    if (call.starts_with(binds) || call.starts_with(listens)) return false;
  }
  return true;
}

}  // namespace holdfast
