#include "ctl/control_client.h"

#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include "sys/stream.h"

namespace holdfast {

namespace {

using std::chrono::steady_clock;

constexpr Duration kProbePatience =
    std::chrono::milliseconds(200);  // connecting needs nothing of the supervisor but its backlog
constexpr std::size_t kReadAtOnce = std::size_t{16} * 1024;
constexpr int kExitRuntime = 1;
constexpr int kExitPermission = 77;

bool is_permission(const Error& error) {
  return error.code == std::errc::permission_denied || error.code == std::errc::operation_not_permitted;
}

Error nothing_runs(const std::string& place) {
  return Error{{}, "no supervisor is running " + place + " (start one with `holdfast run`)"};
}

// What a failed connect means for the person who asked.
ControlFailure unreachable(const std::string& path, const Error& error) {
  if (error.code == std::errc::no_such_file_or_directory || error.code == std::errc::connection_refused) {
    return {.error = nothing_runs("at " + path).message(), .exit_code = kExitRuntime, .versions = {}};
  }
  if (is_permission(error)) {
    return {.error = error.message() + " (only the user who runs the supervisor, and root, may control it)",
            .exit_code = kExitPermission,
            .versions = {}};
  }
  return {.error = error.message(), .exit_code = kExitRuntime, .versions = {}};
}

ControlFailure no_answer(const std::string& path, const std::string& why) {
  return {.error = "no answer from the supervisor at " + path + ": " + why, .exit_code = kExitRuntime, .versions = {}};
}

// A supervisor that has refused before it read everything has answered all the same: so a broken pipe is no failure
// yet.
Outcome send_all(BorrowedFd connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const Result<std::size_t> sent = send_some(connection, bytes);
    if (!sent && sent.error().code == std::errc::broken_pipe) return Done{};
    if (!sent) return sent.error();
    if (*sent == 0) return Error{std::make_error_code(std::errc::no_buffer_space), "send the request"};
    bytes.remove_prefix(*sent);
  }
  return Done{};
}

Result<std::string> receive_line(BorrowedFd connection, TimePoint deadline) {
  std::string line;
  std::array<char, kReadAtOnce> buffer;
  for (;;) {
    if (Outcome readable = wait_readable(connection, deadline - steady_clock::now()); !readable)
      return std::move(readable).error();
    const Result<StreamRead> read = read_some(connection, buffer);
    if (!read) return read.error();
    if (read->state == StreamRead::State::End) return Error{{}, "it closed the connection"};
    const std::string_view bytes(buffer.data(), read->length);
    const std::size_t newline = bytes.find('\n');
    line.append(bytes.substr(0, newline));
    if (newline != std::string_view::npos) return line;
    if (line.size() > kMaxControlResponse) return Error{{}, "the answer is too long"};
  }
}

Result<std::string> only_live_path(const std::string& directory) {
  std::vector<std::string> live;
  std::string path;
  for (const std::string& name : control_names(directory)) {
    const Result<std::string> candidate = control_path(directory, name);
    if (!candidate || !connect_unix(*candidate, kProbePatience)) continue;
    live.push_back(name);
    path = *candidate;
  }
  if (live.empty()) return nothing_runs("in " + directory);
  if (live.size() == 1) return path;
  std::string names;
  for (const std::string& name : live) names += (names.empty() ? "" : ", ") + name;
  return Error{{}, "several supervisors are running: choose one with --name (" + names + ")"};
}

}  // namespace

Result<std::string> find_control_path(const ControlChoice& choice, const ControlHome& home) {
  if (choice.path) return *choice.path;
  const std::string directory = control_directory(home);
  // Somebody else's directory could lead us to somebody else's supervisor.
  const Outcome trusted = check_control_directory(directory, home.user);
  if (!trusted && trusted.error().code == std::errc::no_such_file_or_directory) return nothing_runs("in " + directory);
  if (!trusted) return trusted.error();
  return choice.name ? control_path(directory, *choice.name) : only_live_path(directory);
}

ControlResponse ask_supervisor(const std::string& path, const ControlRequest& request, Duration patience) {
  const TimePoint deadline = steady_clock::now() + patience;
  const Result<UniqueFd> connection = connect_unix(path, patience);
  if (!connection) return unreachable(path, connection.error());
  if (const Outcome sent = send_all(*connection, encode(request)); !sent)
    return no_answer(path, sent.error().message());
  const Result<std::string> line = receive_line(*connection, deadline);
  if (!line) return no_answer(path, line.error().message());
  return decode_response(*line);
}

}  // namespace holdfast
