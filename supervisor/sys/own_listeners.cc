#include "sys/own_listeners.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

namespace holdfast {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kListening = "0A";

std::set<std::string> sockets_of(const std::string& process) {
  std::set<std::string> inodes;
  std::error_code vanished;  // descriptors may go while we look
  for (auto entry = fs::directory_iterator(process + "/fd", vanished); entry != fs::directory_iterator();
       entry.increment(vanished)) {
    constexpr std::string_view kPrefix = "socket:[";
    std::error_code closed;
    const std::string target = fs::read_symlink(entry->path(), closed).string();
    if (target.starts_with(kPrefix)) inodes.insert(target.substr(kPrefix.size(), target.size() - kPrefix.size() - 1));
    if (vanished) break;
  }
  return inodes;
}

std::optional<std::uint32_t> hexadecimal(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "0100007F:1F90": the words of the address as they are in memory, and the port as a number.
std::optional<TcpAddress> parse_address(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || (colon != 8 && colon != 32)) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t at = 0; at < colon; at += 8) {
    const std::optional<std::uint32_t> word = hexadecimal(text.substr(at, 8));
    if (!word) return std::nullopt;
    std::memcpy(&bytes[at / 2], &*word, sizeof *word);
  }
  const std::optional<std::uint32_t> port = hexadecimal(text.substr(colon + 1));
  if (!port || *port > 0xffff) return std::nullopt;
  TcpAddress address;
  address.port = static_cast<std::uint16_t>(*port);
  address.family = colon == 8 ? TcpAddress::Family::V4 : TcpAddress::Family::V6;
  if (colon == 8) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    address.address = IpAddress::v4(ntohl(word));
  } else if (bytes != std::array<std::uint8_t, 16>{}) {
    address.address = IpAddress::v6(bytes);
  }
  return address;
}

}  // namespace

std::vector<TcpAddress> own_listeners(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  const std::set<std::string> inodes = sockets_of(process);
  std::vector<TcpAddress> listeners;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream lines(process + table);
    for (std::string line; std::getline(lines, line);) {
      // number, local address, remote address, state, queues, timer, retransmits, user, timeout, inode
      std::array<std::string, 10> fields;
      std::istringstream stream(line);
      for (std::string& field : fields) stream >> field;
      if (fields[3] != kListening || inodes.count(fields[9]) == 0) continue;
      if (const std::optional<TcpAddress> address = parse_address(fields[1])) listeners.push_back(*address);
    }
  }
  return listeners;
}

}  // namespace holdfast
