#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/node_message.h"
#include "core/result.h"

namespace holdfast {

// Words that both codecs have in common.
inline constexpr std::string_view kNodeAdapterSource = "_sio_adapter";
inline constexpr int kNodeAdapterClose = 13;  // of the types of @socket.io/cluster-adapter

// As server.address() tells it.
[[nodiscard]] inline std::string node_address(const TcpAddress& bound) {
  const bool any = bound.family == TcpAddress::Family::V6 && bound.address == IpAddress{};
  return any || bound.family == TcpAddress::Family::DualStack ? "::" : bound.address.text();
}
[[nodiscard]] inline std::string_view node_family(const TcpAddress& bound) {
  return bound.family == TcpAddress::Family::V4 ? "IPv4" : "IPv6";
}

// What a message of a Node.js channel means, in whichever serialization it came (wire/node_fields.h): a part of the two
// codecs, and of nothing else.
template <class Fields>
class NodeDecoding {
 public:
  // `show` makes a message fit for people.
  using Show = std::string (*)(std::string_view message);
  NodeDecoding(const Fields& fields, std::string_view message, Show show)
      : fields_(fields), message_(message), show_(show) {}

  [[nodiscard]] Result<NodeMessage> decode() const {
    constexpr std::string_view kInternalPrefix = "NODE_";
    const std::string command = text("cmd");
    const bool internal = command.size() > kInternalPrefix.size() && command.starts_with(kInternalPrefix);
    return internal ? decode_internal(command) : decode_text();
  }

 private:
  [[nodiscard]] Error unlike(std::string_view what) const {
    return Error{{}, "understand " + std::string(what) + ": " + show_(message_)};
  }

  [[nodiscard]] std::string text(std::string_view name) const { return fields_.text(name).value_or(std::string()); }

  template <class Number>
  [[nodiscard]] std::optional<Number> number(std::string_view name) const {
    const std::optional<std::int64_t> number = fields_.integer(name);
    if (!number || !std::in_range<Number>(*number)) return std::nullopt;
    return static_cast<Number>(*number);
  }

  [[nodiscard]] Result<NodeMessage> decode_internal(std::string_view command) const {
    if (command == "NODE_CLUSTER") return decode_cluster();
    if (command == "NODE_HANDLE_ACK") return NodeMessage(NodeHandleArrived{});
    if (command == "NODE_HANDLE_NACK") return NodeMessage(NodeHandleMissing{});
    if (command == "NODE_HANDLE") return NodeMessage(NodeHandleOffered{});
    return NodeMessage(NodeOther{});
  }

  [[nodiscard]] Result<NodeMessage> decode_cluster() const {
    if (fields_.has("ack")) return decode_answer();
    const std::string act = text("act");
    if (act == "online") return NodeMessage(NodeOnline{});
    if (act == "queryServer") return decode_query();
    if (act == "close") return NodeMessage(NodeClosed{text("key")});
    if (act == "listening") {
      std::optional<NodeServer> server = this->server();
      if (!server) return unlike("what it listens to");
      return NodeMessage(NodeListening{*std::move(server)});
    }
    if (act == "exitedAfterDisconnect") {
      const std::optional<std::int64_t> seq = number<std::int64_t>("seq");
      if (!seq) return unlike("that it leaves");
      return NodeMessage(NodeLeaves{*seq});
    }
    return NodeMessage(NodeOther{});
  }

  [[nodiscard]] Result<NodeMessage> decode_query() const {
    const std::optional<std::int64_t> seq = number<std::int64_t>("seq");
    std::optional<NodeServer> server = this->server();
    if (!seq || !server) return unlike("what it wants to listen to");
    const std::string_view data = fields_.raw("data");
    return NodeMessage(NodeQuery{*seq, *std::move(server), std::string(data.empty() ? Fields::kNull : data)});
  }

  [[nodiscard]] Result<NodeMessage> decode_answer() const {
    const std::optional<std::int64_t> answered = number<std::int64_t>("ack");
    const std::optional<bool> accepted = fields_.boolean("accepted");
    if (!answered || (fields_.has("accepted") && !accepted)) return unlike("its answer");
    return NodeMessage(NodeAnswered{*answered, accepted.value_or(false)});
  }

  [[nodiscard]] std::optional<NodeServer::Kind> kind() const {
    if (number<int>("fd").value_or(-1) >= 0) return NodeServer::Kind::Descriptor;
    if (const std::optional<int> type = number<int>("addressType")) {
      if (*type == 4) return NodeServer::Kind::Tcp4;
      if (*type == 6) return NodeServer::Kind::Tcp6;
      if (*type == -1) return NodeServer::Kind::Unix;
    }
    const std::string type = text("addressType");
    if (type == "udp4" || type == "udp6") return NodeServer::Kind::Udp;
    return std::nullopt;
  }

  [[nodiscard]] std::optional<NodeServer> server() const {
    const std::optional<NodeServer::Kind> kind = this->kind();
    const std::optional<std::uint32_t> index = number<std::uint32_t>("index");
    if (!kind || !index) return std::nullopt;
    NodeServer server{*kind, text("address"), 0, *index};
    if (*kind == NodeServer::Kind::Unix || *kind == NodeServer::Kind::Descriptor) return server;
    const std::optional<std::uint16_t> port = number<std::uint16_t>("port");
    // A socket that binds to nothing in particular names no port.
    if (!port && *kind != NodeServer::Kind::Udp) return std::nullopt;
    server.port = port.value_or(0);
    return server;
  }

  [[nodiscard]] Result<NodeMessage> decode_text() const {
    const std::string payload(message_);
    if (fields_.itself() == "ready") return NodeMessage(NodeStarted{});
    if (text("source") == kNodeAdapterSource) {
      return NodeMessage(
          NodeAdapterMessage{number<int>("type").value_or(0), text("uid"), text("nsp"), text("requesterUid"), payload});
    }
    const std::string type = text("type");
    const std::optional<std::string> data = fields_.text("data");
    if (type == "sticky:connection" && data) return NodeMessage(NodeClientSession{*data, true});
    if (type == "sticky:disconnection" && data) return NodeMessage(NodeClientSession{*data, false});
    if (type == "close" && fields_.size() == 1) return NodeMessage(NodeServerCloses{payload});
    return NodeMessage(NodeText{payload});
  }

  const Fields& fields_;
  std::string_view message_;
  Show show_;
};

}  // namespace holdfast
