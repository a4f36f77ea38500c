#include "wire/node_codec.h"

#include <limits>
#include <vector>

#include "wire/json_members.h"
#include "wire/json_scan.h"

namespace holdfast {

namespace {

using Members = std::vector<JsonMember>;

constexpr std::string_view kInternalPrefix = "NODE_";
// The one message that comes for every connection.
constexpr std::string_view kHandleArrived = R"({"cmd":"NODE_HANDLE_ACK"})";
constexpr char kBunInternal = '\x02';

constexpr std::string_view kStickyConnection = "sticky:connection";
constexpr std::string_view kStickyDisconnection = "sticky:disconnection";
constexpr std::string_view kAdapterSource = "_sio_adapter";
constexpr int kAdapterClose = 13;

Error unlike(std::string_view what, std::string_view line) {
  constexpr std::size_t kShown = 120;
  return Error{{},
               "understand " + std::string(what) + ": " + std::string(line.substr(0, kShown)) +
                   (line.size() > kShown ? "..." : "")};
}

std::string text_of(const Members& members, std::string_view name) {
  return json_string(member(members, name)).value_or(std::string());
}

template <class Number>
std::optional<Number> number_of(const Members& members, std::string_view name) {
  const std::optional<std::int64_t> number = json_integer(member(members, name));
  if (!number || !std::in_range<Number>(*number)) return std::nullopt;
  return static_cast<Number>(*number);
}

std::optional<NodeServer::Kind> kind_of(const Members& members) {
  if (number_of<int>(members, "fd").value_or(-1) >= 0) return NodeServer::Kind::Descriptor;
  const std::string_view type = member(members, "addressType");
  if (type == "4") return NodeServer::Kind::Tcp4;
  if (type == "6") return NodeServer::Kind::Tcp6;
  if (type == "-1") return NodeServer::Kind::Unix;
  if (type == R"("udp4")" || type == R"("udp6")") return NodeServer::Kind::Udp;
  return std::nullopt;
}

std::optional<NodeServer> server_of(const Members& members) {
  const std::optional<NodeServer::Kind> kind = kind_of(members);
  const std::optional<std::uint32_t> index = number_of<std::uint32_t>(members, "index");
  if (!kind || !index) return std::nullopt;
  NodeServer server{*kind, text_of(members, "address"), 0, *index};
  if (*kind == NodeServer::Kind::Unix || *kind == NodeServer::Kind::Descriptor) return server;
  const std::optional<std::uint16_t> port = number_of<std::uint16_t>(members, "port");
  // A socket that binds to nothing in particular names no port.
  if (!port && *kind != NodeServer::Kind::Udp) return std::nullopt;
  server.port = port.value_or(0);
  return server;
}

Result<NodeMessage> decode_query(const Members& members, std::string_view line) {
  const std::optional<std::int64_t> number = number_of<std::int64_t>(members, "seq");
  std::optional<NodeServer> server = server_of(members);
  if (!number || !server) return unlike("what it wants to listen to", line);
  const std::string_view data = member(members, "data");
  return NodeMessage(NodeQuery{*number, *std::move(server), data.empty() ? "null" : std::string(data)});
}

Result<NodeMessage> decode_answer(const Members& members, std::string_view line) {
  const std::optional<std::int64_t> number = number_of<std::int64_t>(members, "ack");
  const std::string_view accepted = member(members, "accepted");
  if (!number || (!accepted.empty() && !json_boolean(accepted))) return unlike("its answer", line);
  return NodeMessage(NodeAnswered{*number, json_boolean(accepted).value_or(false)});
}

Result<NodeMessage> decode_cluster(const Members& members, std::string_view line) {
  if (!member(members, "ack").empty()) return decode_answer(members, line);
  const std::string act = text_of(members, "act");
  if (act == "online") return NodeMessage(NodeOnline{});
  if (act == "queryServer") return decode_query(members, line);
  if (act == "close") return NodeMessage(NodeClosed{text_of(members, "key")});
  if (act == "listening") {
    std::optional<NodeServer> server = server_of(members);
    if (!server) return unlike("what it listens to", line);
    return NodeMessage(NodeListening{*std::move(server)});
  }
  if (act == "exitedAfterDisconnect") {
    const std::optional<std::int64_t> number = number_of<std::int64_t>(members, "seq");
    if (!number) return unlike("that it leaves", line);
    return NodeMessage(NodeLeaves{*number});
  }
  return NodeMessage(NodeOther{});
}

Result<NodeMessage> decode_internal(std::string_view command, const Members& members, std::string_view line) {
  if (command == "NODE_CLUSTER") return decode_cluster(members, line);
  if (command == "NODE_HANDLE_ACK") return NodeMessage(NodeHandleArrived{});
  if (command == "NODE_HANDLE_NACK") return NodeMessage(NodeHandleMissing{});
  if (command == "NODE_HANDLE") return NodeMessage(NodeHandleOffered{});
  return NodeMessage(NodeOther{});
}

NodeMessage decode_text(const Members& members, std::string_view line) {
  if (line == R"("ready")") return NodeStarted{};
  if (member(members, "source") == R"("_sio_adapter")") {
    return NodeAdapterMessage{number_of<int>(members, "type").value_or(0), text_of(members, "uid"),
                              text_of(members, "nsp"), text_of(members, "requesterUid"), std::string(line)};
  }
  const std::optional<std::string> type = json_string(member(members, "type"));
  const std::optional<std::string> data = json_string(member(members, "data"));
  if (type == kStickyConnection && data) return NodeClientSession{*data, true};
  if (type == kStickyDisconnection && data) return NodeClientSession{*data, false};
  if (type == "close" && members.size() == 1) return NodeServerCloses{};
  return NodeText{std::string(line)};
}

// ---- What is said to a worker.

std::string in_quotes(std::string_view text) { return json_text(Json(text)); }

std::string cluster(std::int64_t number) { return R"({"cmd":"NODE_CLUSTER","seq":)" + std::to_string(number); }

std::string answer_to(std::int64_t answered, std::int64_t number) {
  return cluster(number) + ",\"ack\":" + std::to_string(answered);
}

std::string handle(std::string_view type, std::string_view message) {
  return R"({"cmd":"NODE_HANDLE","type":")" + std::string(type) + R"(","msg":)" + std::string(message) + "}";
}

std::string sockname(const TcpAddress& bound) {
  const bool v4 = bound.family == TcpAddress::Family::V4;
  const std::string address = bound.family == TcpAddress::Family::DualStack || (!v4 && bound.address == IpAddress{})
                                  ? "::"
                                  : bound.address.text();
  return ",\"sockname\":{\"address\":" + in_quotes(address) + ",\"family\":" + (v4 ? "\"IPv4\"" : "\"IPv6\"") +
         ",\"port\":" + std::to_string(bound.port) + "}";
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
  return R"({"source":")" + std::string(kAdapterSource) + R"(","type":)" + std::to_string(kAdapterClose) +
         ",\"uid\":" + in_quotes(order.uid) + ",\"nsp\":" + in_quotes(order.name_space) + "}";
}
std::string text_of(const NodeSay& order) { return order.json; }

}  // namespace

Result<NodeMessage> decode_node_message(std::string_view line) {
  if (line == kHandleArrived) return NodeMessage(NodeHandleArrived{});
  if (!line.empty() && line.front() == kBunInternal) return NodeMessage(NodeBunWorker{});
  const std::optional<Members> members = scan_json(line);
  if (!members) return unlike("a line of its channel as JSON", line);
  const std::string command = text_of(*members, "cmd");
  if (command.size() > kInternalPrefix.size() && command.starts_with(kInternalPrefix)) {
    return decode_internal(command, *members, line);
  }
  return decode_text(*members, line);
}

std::string encode(const NodeOrder& order) {
  return std::visit([](const auto& o) { return text_of(o); }, order) + "\n";
}

}  // namespace holdfast
