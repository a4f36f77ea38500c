#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace holdfast {

// What somebody who looks on at the bus is told.
struct TailMessage {
  std::string topic;
  std::uint64_t sequence = 0;
  std::string data;        // any bytes; base64 in the JSON form
  std::uint64_t size = 0;  // of the message; one that is larger than 64 KiB is told without its data
};
struct TailAnswer {
  std::uint64_t session = 0;
  std::uint64_t dropped = 0;  // came since the last answer, and found no room
  std::vector<TailMessage> messages;
};

[[nodiscard]] std::string to_json(const TailAnswer& answer);
[[nodiscard]] Result<TailAnswer> parse_tail_answer(std::string_view json);

}  // namespace holdfast
