#include "wire/node_codec.h"

#include <algorithm>

#include "wire/json_members.h"
#include "wire/node_decoding.h"
#include "wire/node_fields.h"
#include "wire/node_v8_codec.h"
#include "wire/v8_text.h"

namespace holdfast {

namespace {

// The one message that comes for every connection.
constexpr std::string_view kHandleArrived = R"({"cmd":"NODE_HANDLE_ACK"})";
constexpr char kBunInternal = '\x02';

std::string shortened(std::string_view text, std::size_t limit) {
  return std::string(text.substr(0, limit)) + (text.size() > limit ? "..." : "");
}

std::string shown(std::string_view line) {
  constexpr std::size_t kShown = 120;
  return shortened(line, kShown);
}

// ---- What is said to a worker.

std::string in_quotes(std::string_view text) {
  // As our own names are, one of which goes with every connection.
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= '-' && c <= 'z' && c != '\\'; });
  if (!is_plain) return json_text(Json(text));
  std::string quoted(1, '"');
  quoted.append(text).push_back('"');
  return quoted;
}

std::string cluster(std::int64_t number) { return R"({"cmd":"NODE_CLUSTER","seq":)" + std::to_string(number); }

std::string answer_to(std::int64_t answered, std::int64_t number) {
  return cluster(number) + ",\"ack\":" + std::to_string(answered);
}

std::string handle(std::string_view type, std::string_view message) {
  return R"({"cmd":"NODE_HANDLE","type":")" + std::string(type) + R"(","msg":)" + std::string(message) + "}";
}

std::string sockname(const TcpAddress& bound) {
  return ",\"sockname\":{\"address\":" + in_quotes(node_address(bound)) + ",\"family\":\"" +
         std::string(node_family(bound)) + "\",\"port\":" + std::to_string(bound.port) + "}";
}

std::string text_of(const NodeGranted& order) {
  return answer_to(order.answers, order.number) + ",\"errno\":null,\"key\":" + in_quotes(order.key) +
         ",\"data\":" + order.data + (order.bound ? sockname(*order.bound) : std::string()) + "}";
}
std::string text_of(const NodeRefused& order) {
  return answer_to(order.answers, order.number) + ",\"errno\":" + std::to_string(-order.error) +
         ",\"key\":" + in_quotes(order.key) + ",\"data\":null}";
}
std::string text_of(const NodeNewConnection& order) {
  return handle("net.Native", cluster(order.number) + R"(,"act":"newconn","key":)" + in_quotes(order.key) + "}");
}
std::string text_of(const NodeConnectionMessage& order) { return handle("net.Socket", order.json); }
std::string text_of(const NodeDisconnect& order) { return cluster(order.number) + R"(,"act":"disconnect"})"; }
std::string text_of(const NodeMayLeave& order) { return answer_to(order.answers, order.number) + "}"; }
std::string text_of(const NodeHandleTaken&) { return std::string(kHandleArrived); }
std::string text_of(const NodeAdapterGone& order) {
  return R"({"source":")" + std::string(kNodeAdapterSource) + R"(","type":)" + std::to_string(kNodeAdapterClose) +
         ",\"uid\":" + in_quotes(order.uid) + ",\"nsp\":" + in_quotes(order.name_space) + "}";
}
std::string text_of(const NodeShutdown&) { return R"("shutdown")"; }
std::string text_of(const NodeSay& order) { return order.payload; }

}  // namespace

Result<NodeMessage> decode_node_message(std::string_view message, NodeSerialization serialization) {
  if (serialization == NodeSerialization::Advanced) return decode_v8_node_message(message);
  if (message == kHandleArrived) return NodeMessage(NodeHandleArrived{});
  if (!message.empty() && message.front() == kBunInternal) return NodeMessage(NodeBunWorker{});
  const std::optional<JsonFields> fields = JsonFields::of(message);
  if (!fields) return Error{{}, "understand a line of its channel as JSON: " + shown(message)};
  return NodeDecoding<JsonFields>(*fields, message, shown).decode();
}

std::string encode(const NodeOrder& order, NodeSerialization serialization) {
  if (serialization == NodeSerialization::Advanced) return encode_v8(order);
  return std::visit([](const auto& o) { return text_of(o); }, order) + "\n";
}

std::string readable_node_text(std::string_view payload, NodeSerialization serialization, std::size_t limit) {
  return serialization == NodeSerialization::Json ? shortened(payload, limit) : v8_text(payload, limit);
}

}  // namespace holdfast
