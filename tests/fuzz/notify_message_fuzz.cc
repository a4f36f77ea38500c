// Anything may come as a notification: whatever it is, the parser answers within its bounds, and what it made of a
// status can be printed and reads the same a second time.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "wire/notify_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const Result<NotifyMessage> message =
      parse_notify_message(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!message) {
    check(!message.error().message().empty());
    return 0;
  }
  check(size <= kMaxNotifyDatagram);
  if (message->error) check(*message->error >= 1 && *message->error <= 4095);
  if (message->main_pid) check(*message->main_pid >= 1);
  if (message->extend_timeout)
    check(*message->extend_timeout >= Duration::zero() && *message->extend_timeout <= kMaxNotifyExtension);
  if (!message->status) return 0;
  check(message->status->size() <= kMaxNotifyStatus);
  const Result<NotifyMessage> again = parse_notify_message("STATUS=" + *message->status);
  check(again && again->status == message->status);
  return 0;
}
