#include "wire/node_v8_codec.h"

#include "wire/node_decoding.h"
#include "wire/node_fields.h"
#include "wire/v8_reader.h"
#include "wire/v8_text.h"
#include "wire/v8_writer.h"

namespace holdfast {

namespace {

constexpr std::size_t kShown = 120;

std::string framed(std::string_view message) {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::string frame;
  frame.reserve(sizeof length + message.size());
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(length >> shift & 0xFFU);
  return frame += message;
}

V8Writer& cluster(V8Writer& writer, std::int64_t number) {
  return writer.open().key("cmd").text("NODE_CLUSTER").key("seq").integer(number);
}
V8Writer& answer_to(V8Writer& writer, std::int64_t answered, std::int64_t number) {
  return cluster(writer, number).key("ack").integer(answered);
}
V8Writer& handle(V8Writer& writer, std::string_view type) {
  return writer.open().key("cmd").text("NODE_HANDLE").key("type").text(type).key("msg");
}

void write(V8Writer& writer, const NodeGranted& order) {
  answer_to(writer, order.answers, order.number).key("errno").null().key("key").text(order.key);
  writer.key("data").raw(order.data);
  if (order.bound) {
    writer.key("sockname").open().key("address").text(node_address(*order.bound));
    writer.key("family").text(node_family(*order.bound)).key("port").integer(order.bound->port).close();
  }
  writer.close();
}
void write(V8Writer& writer, const NodeRefused& order) {
  answer_to(writer, order.answers, order.number).key("errno").integer(-order.error).key("key").text(order.key);
  writer.key("data").null().close();
}
void write(V8Writer& writer, const NodeNewConnection& order) {
  cluster(handle(writer, "net.Native"), order.number).key("act").text("newconn").key("key").text(order.key);
  writer.close().close();
}
void write(V8Writer& writer, const NodeConnectionMessage& order) {
  handle(writer, "net.Socket").json(parse_json(order.json)).close();
}
void write(V8Writer& writer, const NodeDisconnect& order) {
  cluster(writer, order.number).key("act").text("disconnect").close();
}
void write(V8Writer& writer, const NodeMayLeave& order) { answer_to(writer, order.answers, order.number).close(); }
void write(V8Writer& writer, const NodeHandleTaken&) { writer.open().key("cmd").text("NODE_HANDLE_ACK").close(); }
void write(V8Writer& writer, const NodeAdapterGone& order) {
  writer.open().key("source").text(kNodeAdapterSource).key("type").integer(kNodeAdapterClose);
  writer.key("uid").text(order.uid).key("nsp").text(order.name_space).close();
}
void write(V8Writer& writer, const NodeShutdown&) { writer.text("shutdown"); }

std::string shown(std::string_view message) { return v8_text(message, kShown); }

}  // namespace

Result<NodeMessage> decode_v8_node_message(std::string_view message) {
  const unsigned version = V8Reader(message).version();
  if (version > V8Reader::kNewestVersion) {
    return Error{{},
                 "understand version " + std::to_string(version) + " of V8's serialization, of which " +
                     std::to_string(V8Reader::kNewestVersion) +
                     " is the newest that is known: use the other (--node-serialization json)"};
  }
  const std::optional<V8Fields> fields = V8Fields::of(message);
  if (!fields) return Error{{}, "understand a message of its channel as a value of V8's: " + shown(message)};
  return NodeDecoding<V8Fields>(*fields, message, shown).decode();
}

std::string encode_v8(const NodeOrder& order) {
  if (const auto* say = std::get_if<NodeSay>(&order)) return framed(say->payload);
  V8Writer writer;
  std::visit(
      [&](const auto& o) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(o)>, NodeSay>) write(writer, o);
      },
      order);
  return framed(writer.message());
}

}  // namespace holdfast
