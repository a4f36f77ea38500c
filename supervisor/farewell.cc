#include "farewell.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "sys/sockets.h"

namespace holdfast {

namespace {

constexpr Duration kKept = std::chrono::seconds(1);
constexpr std::size_t kMostLeaving = 1024;

constexpr std::string_view kForbidden = "HTTP/1.1 403 Forbidden\r\n";
constexpr std::string_view kTooMany = "HTTP/1.1 429 Too Many Requests\r\n";
constexpr std::string_view kNoRoom = "HTTP/1.1 503 Service Unavailable\r\n";

std::string_view status_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::Banned:
    case Refusal::SourceRate:
    case Refusal::SourceConnections:
      return kTooMany;
    case Refusal::QueueFull:
    case Refusal::Connections:
    case Refusal::TotalConnections:
    case Refusal::Removed:
    case Refusal::NoServer:
      return kNoRoom;
    default:
      return kForbidden;
  }
}

std::string answer_of(Refusal refusal, Duration wait) {
  const std::string_view status = status_of(refusal);
  std::string answer(status);
  if (status != kForbidden) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    answer += "Retry-After: " + std::to_string(std::max<std::int64_t>(seconds, 1)) + "\r\n";
  }
  return answer + "Content-Length: 0\r\nConnection: close\r\n\r\n";
}

}  // namespace

Farewell::Farewell(Loop& loop) : loop_(loop), timer_(loop, [this] { on_due(); }) {}

void Farewell::say(UniqueFd fd, Refusal refusal, Duration wait) {
  answer_refused(fd, answer_of(refusal, wait));
  if (leaving_.empty()) timer_.arm(loop_.now() + kKept);
  leaving_.push_back({std::move(fd), loop_.now() + kKept});
  if (leaving_.size() > kMostLeaving) leaving_.pop_front();
}

void Farewell::on_due() {
  while (!leaving_.empty() && leaving_.front().until <= loop_.now()) leaving_.pop_front();
  if (!leaving_.empty()) timer_.arm(leaving_.front().until);
}

}  // namespace holdfast
