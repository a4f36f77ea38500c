#include "sys/tcp_table.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace holdfast {

namespace {

namespace fs = std::filesystem;

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

// "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0  12345 ...": number, local and
// remote address, state, queues, timer, retransmits, user, timeout, inode.
std::optional<TcpSocket> parse_row(std::string_view row) {
  constexpr std::size_t kLocal = 1;
  constexpr std::size_t kState = 3;
  constexpr std::size_t kInode = 9;
  std::array<std::string_view, kInode + 1> fields;
  for (std::string_view& field : fields) {
    const std::size_t start = row.find_first_not_of(' ');
    if (start == std::string_view::npos) return std::nullopt;
    const std::size_t end = std::min(row.find(' ', start), row.size());
    field = row.substr(start, end - start);
    row.remove_prefix(end);
  }
  const std::optional<TcpAddress> local = parse_address(fields[kLocal]);
  const std::optional<std::uint32_t> state = hexadecimal(fields[kState]);
  if (!local || !state) return std::nullopt;
  return TcpSocket{*local, *state, std::string(fields[kInode])};
}

}  // namespace

std::vector<TcpSocket> tcp_table(pid_t pid, TcpRows wanted) {
  std::vector<TcpSocket> sockets;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream rows("/proc/" + std::to_string(pid) + table);
    for (std::string row; std::getline(rows, row);) {
      std::optional<TcpSocket> socket = parse_row(row);
      if (!socket) continue;  // the line of titles
      if (wanted == TcpRows::Listening && socket->state != TCP_LISTEN) break;
      sockets.push_back(*std::move(socket));
    }
  }
  return sockets;
}

std::set<std::string> socket_inodes(pid_t pid) {
  std::set<std::string> inodes;
  std::error_code vanished;  // descriptors may go while we look
  for (auto entry = fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", vanished);
       entry != fs::directory_iterator(); entry.increment(vanished)) {
    constexpr std::string_view kPrefix = "socket:[";
    std::error_code closed;
    const std::string target = fs::read_symlink(entry->path(), closed).string();
    if (target.starts_with(kPrefix)) inodes.insert(target.substr(kPrefix.size(), target.size() - kPrefix.size() - 1));
    if (vanished) break;
  }
  return inodes;
}

}  // namespace holdfast
