// The subcommands that speak on the bus from outside, and listen there.
#include <chrono>
#include <string>

#include "asking.h"
#include "client_commands.h"
#include "core/printable.h"
#include "exit_code.h"
#include "standard_output.h"
#include "sys/text_file.h"
#include "wire/base64.h"
#include "wire/tail_answer.h"

namespace holdfast {

namespace {

constexpr Duration kPatience = std::chrono::seconds(10);
// A look at the bus is answered after 20 s at the latest.
constexpr Duration kTailPatience = std::chrono::seconds(60);
// In base64, with its topic, within the 64 KiB of a request.
constexpr std::size_t kMaxMessage = 48000;

Result<std::string> message_of(const PublishInvocation& publish) {
  if (publish.file.empty()) return publish.message;
  if (!publish.message.empty()) return Error{{}, "give the message, or --file, and not both"};
  return read_text_file(publish.file == "-" ? "/dev/stdin" : publish.file, kMaxMessage);
}

std::string text_of(const TailAnswer& answer, OutputForm form) {
  std::string text;
  if (form == OutputForm::Json) {
    for (const TailMessage& message : answer.messages) text += to_json(TailAnswer{0, 0, {message}}) + "\n";
    return text;
  }
  if (answer.dropped > 0) text += "# " + std::to_string(answer.dropped) + " messages were too many to be shown\n";
  for (const TailMessage& message : answer.messages) {
    const bool is_shown = message.data.size() == message.size;
    text += printable(message.topic) + "\t" +
            (is_shown ? printable(message.data) : "(" + std::to_string(message.size) + " bytes)") + "\n";
  }
  return text;
}

}  // namespace

int run_client(const PublishInvocation& invocation) {
  const Result<std::string> message = message_of(invocation);
  if (!message) return complain(message.error().message(), kExitUsage);
  if (message->size() > kMaxMessage) {
    return complain("a message from the command line has at most 48000 bytes", kExitUsage);
  }
  ControlRequest request{"publish", {{"topic", invocation.topic}, {"data", to_base64(*message)}}};
  if (!invocation.name_space.empty()) {
    request.verb = "emit";
    request.arguments["namespace"] = invocation.name_space;
    request.arguments["room"] = invocation.room;
  }
  const ControlResponse response = ask(invocation.target, request, kPatience);
  if (const auto* failure = std::get_if<ControlFailure>(&response)) return complain(failure->error, failure->exit_code);
  if (invocation.form == OutputForm::Text) return kExitOk;
  return print(std::get<ControlSuccess>(response).result + "\n");
}

int run_client(const TailInvocation& invocation) {
  ControlRequest request{"tail", {{"pattern", invocation.pattern}, {"wait", true}}};
  for (;;) {
    const ControlResponse response = ask(invocation.target, request, kTailPatience);
    if (const auto* failure = std::get_if<ControlFailure>(&response))
      return complain(failure->error, failure->exit_code);
    const Result<TailAnswer> answer = parse_tail_answer(std::get<ControlSuccess>(response).result);
    if (!answer) return complain(answer.error().message(), kExitFailure);
    request.arguments["session"] = static_cast<std::int64_t>(answer->session);
    if (const int code = print(text_of(*answer, invocation.form)); code != kExitOk) return code;
  }
}

}  // namespace holdfast
