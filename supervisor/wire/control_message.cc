#include "wire/control_message.h"

#include <algorithm>

#include "wire/json_members.h"

namespace holdfast {

namespace {

constexpr int kExitRuntime = 1;
constexpr int kExitUsage = 2;
constexpr int kExitMost = 255;  // exit(2) keeps eight bits

ControlFailure bad_request(const std::string& why) {
  return ControlFailure{.error = "not a request: " + why, .exit_code = kExitUsage, .versions = {}};
}

bool is_spoken(const Json& version) {
  return version.is_number_unsigned() && std::find(kControlVersions.begin(), kControlVersions.end(),
                                                   version.get<std::uint64_t>()) != kControlVersions.end();
}

ControlFailure unknown_version(const Json& version) {
  std::string spoken;
  for (const unsigned v : kControlVersions) spoken += (spoken.empty() ? "" : ", ") + std::to_string(v);
  // Only a number is repeated: anything else could be as long as the request.
  const std::string asked =
      version.is_number_integer() ? "version " + json_text(version) : "a request without a version";
  return ControlFailure{.error = asked + " is not understood: this supervisor speaks version " + spoken,
                        .exit_code = kExitUsage,
                        .versions = {kControlVersions.begin(), kControlVersions.end()}};
}

std::optional<ControlArgument> argument_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return value.get_ref<const std::string&>();
  if (value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>())) return std::nullopt;
  if (value.is_number_integer()) return value.get<std::int64_t>();
  return std::nullopt;
}

template <class T>
std::optional<T> argument(const ControlRequest& request, const std::string& name) {
  const auto found = request.arguments.find(name);
  if (found == request.arguments.end()) return std::nullopt;
  const T* const held = std::get_if<T>(&found->second);
  return held == nullptr ? std::nullopt : std::optional<T>(*held);
}

ControlFailure not_an_answer(const std::string& why) {
  return ControlFailure{
      .error = "the supervisor's answer is not understood: " + why, .exit_code = kExitRuntime, .versions = {}};
}

}  // namespace

std::optional<std::string> ControlRequest::text(const std::string& name) const {
  return argument<std::string>(*this, name);
}

std::optional<std::int64_t> ControlRequest::number(const std::string& name) const {
  return argument<std::int64_t>(*this, name);
}

bool ControlRequest::is_set(const std::string& name) const { return argument<bool>(*this, name).value_or(false); }

std::string encode(const ControlRequest& request) {
  Json arguments = Json::object();
  for (const auto& [name, value] : request.arguments) {
    std::visit([&member = arguments[name]](const auto& held) { member = held; }, value);
  }
  return json_text({{"v", kControlVersions.back()}, {"verb", request.verb}, {"arguments", std::move(arguments)}}) +
         "\n";
}

std::string encode(const ControlResponse& response) {
  Json object = {{"v", kControlVersions.back()}};
  if (const auto* const success = std::get_if<ControlSuccess>(&response)) {
    Json result = parse_json(success->result);
    if (result.is_discarded())
      return encode(ControlFailure{.error = "the supervisor's result is not JSON", .versions = {}});
    object["ok"] = true;
    object["result"] = std::move(result);
  } else {
    const auto& failure = std::get<ControlFailure>(response);
    object["ok"] = false;
    object["error"] = failure.error;
    object["exit_code"] = failure.exit_code;
    if (!failure.versions.empty()) object["versions"] = failure.versions;
  }
  return json_text(object) + "\n";
}

std::variant<ControlRequest, ControlFailure> decode_request(std::string_view line) {
  if (line.size() > kMaxControlRequest)
    return bad_request("longer than " + std::to_string(kMaxControlRequest) + " bytes");
  const Json object = parse_json(line);
  if (!object.is_object()) return bad_request("one JSON object in one line is expected");
  const auto version = object.find("v");
  if (version == object.end() || !is_spoken(*version)) {
    return unknown_version(version == object.end() ? Json() : *version);
  }
  ControlRequest request;
  std::string fault;
  JsonMembers members(object, fault);
  members.read("verb", request.verb);
  if (!fault.empty()) return bad_request(fault);
  if (request.verb.empty()) return bad_request("it has no verb");
  const auto arguments = object.find("arguments");
  if (arguments == object.end() || arguments->is_null()) return request;
  if (!arguments->is_object()) return bad_request("arguments is not an object");
  for (const auto& [name, value] : arguments->items()) {
    std::optional<ControlArgument> held = argument_of(value);
    if (!held) return bad_request("each argument is a string, a whole number, true or false");
    request.arguments.insert_or_assign(name, *std::move(held));
  }
  return request;
}

ControlResponse decode_response(std::string_view line) {
  if (line.size() > kMaxControlResponse) return not_an_answer("it is too long");
  const Json object = parse_json(line);
  if (!object.is_object()) return not_an_answer("it is not a JSON object");
  std::string fault;
  JsonMembers members(object, fault);
  std::optional<bool> ok;
  members.read("ok", ok);
  if (fault.empty() && !ok) fault = "it does not say whether it went well";
  ControlFailure failure;
  if (fault.empty() && !*ok) {
    members.read("error", failure.error);
    members.read("exit_code", failure.exit_code);
    members.read("versions", failure.versions);
  }
  if (!fault.empty()) return not_an_answer(fault);
  if (!*ok) {
    // A failure never exits as success, whatever the other side wrote.
    failure.exit_code = std::clamp(failure.exit_code, kExitRuntime, kExitMost);
    return failure;
  }
  const auto result = object.find("result");
  return ControlSuccess{.result = result == object.end() ? "null" : json_text(*result)};
}

}  // namespace holdfast
