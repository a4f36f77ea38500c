#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast {

// What goes over the control socket: a connection carries one request and one answer, each a JSON object in one line.
//
//   {"v":1,"verb":"route","arguments":{"address":"203.0.113.7"}}
//   {"v":1,"ok":true,"result":{...}}
//   {"v":1,"ok":false,"error":"no slot 9: there are 4","exit_code":2}
//
// "wait":true among the arguments asks for the answer when the verb is done, not when it is begun; "processes":true has `status` look at
// the workers' processes, which takes a look at every process of the machine.
//
// A request in a version that is not spoken here is answered by a failure that has "versions", the list of those that
// are. Members that are not known are ignored, so a version can grow. The decoders are total: whatever the bytes, they
// answer.

inline constexpr std::array<unsigned, 1> kControlVersions = {1};  // the newest last
inline constexpr std::size_t kMaxControlRequest =
    std::size_t{64} * 1024;  // bytes of the line; ours have less than two hundred
inline constexpr std::size_t kMaxControlResponse = std::size_t{16} * 1024 * 1024;  // 256 slots make about 100 KiB

// Arguments are named scalars: a verb needs no more, and a scalar cannot be malformed inside.
using ControlArgument = std::variant<bool, std::int64_t, std::string>;

struct ControlRequest {
  std::string verb;
  std::map<std::string, ControlArgument> arguments;

  // The argument of that name if it is there and of that type.
  [[nodiscard]] std::optional<std::string> text(const std::string& name) const;
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& name) const;
  [[nodiscard]] bool is_set(const std::string& name) const;  // there and true
  bool operator==(const ControlRequest&) const = default;
};

struct ControlSuccess {
  std::string result = "null";  // JSON
  bool operator==(const ControlSuccess&) const = default;
};

struct ControlFailure {
  std::string error;               // in whole words for the person who asked
  int exit_code = 1;               // what the subcommand exits with: 1 to 255
  std::vector<unsigned> versions;  // spoken here; only where the version was the reason
  bool operator==(const ControlFailure&) const = default;
};

using ControlResponse = std::variant<ControlSuccess, ControlFailure>;

// With the newline at the end. A `result` that is not JSON is our own mistake and becomes a failure that says so.
[[nodiscard]] std::string encode(const ControlRequest& request);
[[nodiscard]] std::string encode(const ControlResponse& response);

// `line` without its newline. The failure of a request is what the client is to be answered.
[[nodiscard]] std::variant<ControlRequest, ControlFailure> decode_request(std::string_view line);
// A line that is not a response is a failure too: the client does the same with both.
[[nodiscard]] ControlResponse decode_response(std::string_view line);

}  // namespace holdfast
