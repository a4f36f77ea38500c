// A Node.js worker may write anything on its channel: whatever it is, it is cut into lines, understood or refused, and
// the session answers. What is passed on to other workers is a line that cannot end them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "core/node_session.h"
#include "wire/json_scan.h"
#include "wire/node_codec.h"
#include "wire/node_lines.h"

namespace {

using namespace holdfast;

constexpr TimePoint kNow{std::chrono::seconds(1000)};

// One line, and what is inside it is JSON.
void check_line(const std::string& text) {
  check(!text.empty() && text.back() == '\n' && std::count(text.begin(), text.end(), '\n') == 1);
  check(scan_json(text).has_value());
}

void perform(NodeSession& session, NodeServers& servers, const NodeSession::Effects& effects) {
  for (const NodeSession::Effect& effect : effects) {
    if (const auto* send = std::get_if<NodeSession::Send>(&effect)) check_line(encode(send->order));
    if (const auto* asked = std::get_if<NodeSession::Asked>(&effect)) {
      perform(session, servers, session.answer(asked->query, servers.answer(asked->query.server, asked->query.data)));
    }
    if (const auto* heard = std::get_if<NodeSession::Heard>(&effect)) {
      if (const auto* text = std::get_if<NodeText>(&heard->message)) check_line(encode(NodeSay{text->payload}));
      if (const auto* message = std::get_if<NodeAdapterMessage>(&heard->message)) {
        check_line(encode(NodeSay{message->payload}));
        check_line(encode(NodeAdapterGone{message->uid, message->name_space}));
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  NodeSession session({size % 2 == 0 ? NodeDialect::Auto : NodeDialect::SocketIo});
  session.on_ready();
  NodeServers servers({{*parse_listen_address(":80")}, {*parse_listen_address("unix:/run/x.sock")}});
  NodeLines lines(4096);
  std::uint64_t connection = 0;
  // In pieces: where they are cut must make no difference.
  for (std::size_t at = 0; at < bytes.size(); at += 7) {
    lines.push(std::string_view(bytes).substr(at, 7));
    for (;;) {
      const Result<std::optional<std::string_view>> line = lines.next();
      if (!line) return 0;
      if (!*line) break;
      const Result<NodeMessage> message = decode_node_message(**line);
      if (!message) return 0;
      const Result<NodeSession::Effects> effects = session.on_message(*message, kNow);
      if (!effects) return 0;
      perform(session, servers, *effects);
      for (const ListenerId listener : {ListenerId{0}, ListenerId{1}}) {
        if (!session.may_send(listener, kNow)) continue;
        check_line(encode(session.connection_order(listener)));
        session.on_sent(++connection, listener, kNow);
      }
    }
  }
  perform(session, servers, session.drain());
  perform(session, servers, session.on_end());
  return 0;
}
