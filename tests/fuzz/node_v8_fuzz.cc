// What a worker says in V8's serialization, with its lengths. Whatever it is, it is cut, understood or refused; what is
// let through can be shown, and what it says of a server can be said again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check.h"
#include "wire/node_codec.h"
#include "wire/node_frames.h"
#include "wire/v8_reader.h"

namespace {

using namespace holdfast;

constexpr auto kAdvanced = NodeSerialization::Advanced;

// Every token lies behind the one before it, and what has begun has an end.
void walk(std::string_view message) {
  V8Reader reader(message);
  std::size_t behind = 0;
  std::size_t depth = 0;
  for (;;) {
    const V8Token token = reader.next();
    if (token.kind == V8Token::Kind::Malformed || token.kind == V8Token::Kind::Unknown) return;
    if (token.kind == V8Token::Kind::End) return check(depth == 0);
    check(token.start >= behind && token.end > token.start && token.end <= message.size());
    behind = token.end;
    if (token.kind == V8Token::Kind::Open) ++depth;
    if (token.kind == V8Token::Kind::Close) --depth;
  }
}

void understand(std::string_view message) {
  walk(message);
  (void)readable_node_text(message, kAdvanced, 200);
  const Result<NodeMessage> heard = decode_node_message(message, kAdvanced);
  if (!heard) return;
  if (const auto* query = std::get_if<NodeQuery>(&*heard)) {
    const std::string answer = encode(NodeGranted{query->number, 1, "k", std::nullopt, query->data}, kAdvanced);
    V8Reader reader(std::string_view(answer).substr(4));
    for (V8Token token = reader.next(); token.kind != V8Token::Kind::End; token = reader.next()) {
      check(token.kind != V8Token::Kind::Malformed);
      if (token.kind == V8Token::Kind::Unknown) return;
    }
  }
  if (const auto* gone = std::get_if<NodeAdapterMessage>(&*heard)) {
    (void)encode(NodeAdapterGone{gone->uid, gone->name_space}, kAdvanced);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  understand(bytes);
  NodeFrames frames(1 << 16);
  frames.push(bytes.substr(0, size / 2));
  for (int half = 0; half < 2; half++) {
    for (;;) {
      const Result<std::optional<std::string_view>> message = frames.next();
      if (message && !*message) break;
      if (message) understand(**message);
    }
    if (half == 0) frames.push(bytes.substr(size / 2));
  }
  return 0;
}
